"""From a trained student to what is shipped."""

from indistill_tf.deploy.clustering import clustered
from indistill_tf.deploy.compressed import strip
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.deploy.formats import FORMATS
from indistill_tf.deploy.formats import write
from indistill_tf.deploy.quantization import quantized
from indistill_tf.deploy.saved_model import check
from indistill_tf.deploy.saved_model import export
from indistill_tf.deploy.sparsity import PruningCallback
from indistill_tf.deploy.sparsity import sparse

__all__ = [
    "FORMATS",
    "Deployable",
    "PruningCallback",
    "check",
    "clustered",
    "export",
    "quantized",
    "sparse",
    "strip",
    "write",
]
