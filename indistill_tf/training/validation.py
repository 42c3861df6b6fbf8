"""Scores of the validation split while a network is trained."""

import functools

import keras

from indistill_tf import data
from indistill_tf import distribution
from indistill_tf.data import ImageSet
from indistill_tf.evaluation import information_flow
from indistill_tf.evaluation import outputs
from indistill_tf.evaluation import retrieval
from indistill_tf.graph import endpoints


class ValidationScores(keras.callbacks.Callback):
    """Logs scores of the validation split's embeddings every few epochs.

    - `val_map`, the mAP: validation images are the queries, all training images
      the database; cosine, standard protocol.
    - `val_information_flow`, L_MI to the teacher, summed over batches of 128.

    It costs a pass over both splits without augmentation, and the ranking; once
    also the teacher's pass over the validation split. It draws no random
    numbers, so that training goes on as without it.

    Args:
        network: functional `keras.Model`, the one that is trained.
        images: `indistill_tf.data.ImageSet` with a validation split.
        every: int, epochs from one scoring to the next.
        last_epoch: int, counted from 1, which is scored too.
        teacher: functional `keras.Model` that the network learns from, or None
            for labels alone. Defaults to None.
    """

    def __init__(
        self,
        network: keras.Model,
        images: ImageSet,
        every: int,
        last_epoch: int,
        teacher: keras.Model | None = None,
    ):
        super().__init__()
        self.images, self.every, self.last_epoch = images, every, last_epoch
        self.teacher = teacher
        self._view = endpoints.named_view(network, ("embedding",))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.last_epoch:
            return
        queries, database = self.images.validation, self.images.train
        embeddings = self._embeddings(queries)
        scores = retrieval(
            embeddings,
            queries.labels,
            self._embeddings(database),
            database.labels,
            ranks=(1,),
        )
        logs["val_map"] = scores.mean_average_precision
        if self.teacher is not None:
            flow = information_flow(self._teacher_embeddings, embeddings)
            logs["val_information_flow"] = flow.sum

    @functools.cached_property
    def _teacher_embeddings(self):
        validation = self.images.validation
        found = outputs(self.teacher, validation, self.images.preprocessing)
        return found["embedding"]

    def _embeddings(self, split):
        batches = data.evaluation_shares(split, self.images.preprocessing)
        return distribution.predict(self._view, batches)["embedding"]
