"""Scores of the validation split while a network is trained."""

import keras

from indistill_tf import data
from indistill_tf.data import ImageSet
from indistill_tf.evaluation import retrieval
from indistill_tf.graph import endpoints


class ValidationRetrieval(keras.callbacks.Callback):
    """Logs `val_map`, the mAP of the validation split, every few epochs.

    Validation images are the queries, all training images the database; cosine,
    standard protocol. It costs a pass over both without augmentation, and the
    ranking. It draws no random numbers, so that training goes on as without it.

    Args:
        network: functional `keras.Model`, the one that is trained.
        images: `indistill_tf.data.ImageSet` with a validation split.
        every: int, epochs from one scoring to the next.
        last_epoch: int, counted from 1, which is scored too.
    """

    def __init__(
        self,
        network: keras.Model,
        images: ImageSet,
        every: int,
        last_epoch: int,
    ):
        super().__init__()
        self.images, self.every, self.last_epoch = images, every, last_epoch
        self._view = endpoints.named_view(network, ("embedding",))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.last_epoch:
            return
        queries, database = self.images.validation, self.images.train
        scores = retrieval(
            self._embeddings(queries),
            queries.labels,
            self._embeddings(database),
            database.labels,
            ranks=(1,),
        )
        logs["val_map"] = scores.mean_average_precision

    def _embeddings(self, split):
        batches = data.evaluation_batches(split, self.images.preprocessing)
        return self._view.predict(batches, verbose=0)["embedding"]
