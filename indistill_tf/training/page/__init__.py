"""One self-contained HTML page of networks, made from their records alone."""

from indistill_tf.training.page.document import document
from indistill_tf.training.page.networks import read
from indistill_tf.training.page.over_epochs import curves
from indistill_tf.training.page.over_epochs import reached

__all__ = ["curves", "document", "reached", "read"]
