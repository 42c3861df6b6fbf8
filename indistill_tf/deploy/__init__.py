"""From a trained student to what is shipped."""

from indistill_tf.deploy.deployable import Deployable
from indistill_tf.deploy.formats import FORMATS
from indistill_tf.deploy.formats import write
from indistill_tf.deploy.saved_model import check
from indistill_tf.deploy.saved_model import export

__all__ = ["FORMATS", "Deployable", "check", "export", "write"]
