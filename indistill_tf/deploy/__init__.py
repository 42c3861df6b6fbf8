"""From a trained student to what is shipped."""

from indistill_tf.deploy.saved_model import check
from indistill_tf.deploy.saved_model import export

__all__ = ["check", "export"]
