"""One self-contained HTML page of networks, made from their records alone."""

from indistill_tf.training.page.document import document
from indistill_tf.training.page.networks import read

__all__ = ["document", "read"]
