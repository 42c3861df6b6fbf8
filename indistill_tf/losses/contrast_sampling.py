"""Which samples of the training set CRD compares a sample with."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.seeded import SeededLayer


class Contrasts(NamedTuple):
    """What the samples of a batch are compared with.

    Attributes:
        positives: int tensor `[N]`, a sample of the training set for each of
            the batch.
        candidates: int tensor `[M]`, samples of the training set.
        weights: float tensor `[N, M]`, how often each candidate is a negative
            of each sample.
    """

    positives: Tensor
    candidates: Tensor
    weights: Tensor


@keras.saving.register_keras_serializable(package="indistill_tf")
class ContrastSampler(SeededLayer):
    """Draws a positive and negatives for each sample of a batch.

    One shuffle of the training set serves the whole batch: each sample takes
    the first K of other classes. So its negatives are a uniform draw without
    replacement, and samples of one class share theirs. Draws for each sample
    apart would need `[N, K]` scores picked one by one, which takes far longer
    than to compute them.

    Where other classes hold fewer than K samples, all of them are negatives,
    and weigh as much together as K.

    Args:
        num_data: int, number of samples of the training set.
        labels: ints `[num_data]`, the class of each sample. Defaults to None:
            every sample is a class of its own.
        num_negatives: int, K. Defaults to 16384.
        positives: `"exact"`, the sample itself, or `"relaxed"`, any sample of
            its class. Defaults to `"exact"`.
        seed: int. Defaults to 0.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        sample_ids: ints `[N]`, positions in the training set.

    Returns:
        `Contrasts`.

    Raises:
        UserError: if an argument is out of range, `labels` do not fit, or
            there is only one class.
    """

    # As in checkpoints of before `SeededLayer`.
    seed_key = "seed_state"

    def __init__(
        self,
        num_data: int,
        labels: Tensor | None = None,
        num_negatives: int = 16384,
        positives: str = "exact",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.num_data = num_data
        self.labels = None if labels is None else np.asarray(labels, "int32")
        self.num_negatives = num_negatives
        self.positives = positives
        self._check()
        self._sort_by_class()
        self.built = True

    def call(self, sample_ids: Tensor) -> Contrasts:
        positives = sample_ids
        if self.positives == "relaxed":
            positives = self.draw_positives(sample_ids)
        return Contrasts(positives, *self.draw_negatives(sample_ids))

    def draw_positives(self, sample_ids: Tensor) -> Tensor:
        """Draws one sample of the own class for every sample of a batch.

        Args:
            sample_ids: int tensor `[N]`.

        Returns:
            Int tensor `[N]`; a sample may draw itself.
        """
        own = ops.take(self._classes, sample_ids)
        sizes = ops.take(self._sizes, own)
        ranks = self._integers_below(sizes)
        return ops.take(self._sorted, ops.take(self._starts, own) + ranks)

    def draw_negatives(self, sample_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Draws samples of other classes for every sample of a batch.

        Args:
            sample_ids: int tensor `[N]`.

        Returns:
            The candidates and the weights of `Contrasts`. A row of the weights
            adds up to K.
        """
        shuffled = keras.random.shuffle(
            ops.arange(self.num_data, dtype="int32"), seed=self.seed_generator
        )
        # So many hold K of other classes, whichever the own class is.
        enough = self.num_negatives + int(self._sizes.max())
        candidates = shuffled[:enough]
        own = ops.take(self._classes, sample_ids)
        is_other = ops.take(self._classes, candidates) != own[:, None]
        others_so_far = ops.cumsum(ops.cast(is_other, "int32"), axis=1)
        is_negative = is_other & (others_so_far <= self.num_negatives)
        weights = ops.cast(is_negative, "float32")
        found = ops.sum(weights, axis=1, keepdims=True)
        return candidates, weights * (self.num_negatives / found)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_data": self.num_data,
            "labels": None if self.labels is None else self.labels.tolist(),
            "num_negatives": self.num_negatives,
            "positives": self.positives,
        }

    def _integers_below(self, bounds):
        """Draws uniform ints, each from 0 up to its bound."""
        uniform = keras.random.uniform(
            ops.shape(bounds), dtype="float32", seed=self.seed_generator
        )
        drawn = ops.cast(uniform * ops.cast(bounds, "float32"), "int32")
        # The product may round up to the bound itself.
        return ops.minimum(drawn, bounds - 1)

    def _sort_by_class(self):
        labels = self.labels
        if labels is None:
            labels = np.arange(self.num_data)
        _, classes, sizes = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        if len(sizes) < 2:
            raise UserError(
                "Negatives are samples of other classes, so there must be at "
                f"least two classes. Received: num_data={self.num_data} and "
                f"labels of {len(sizes)} class."
            )
        self._classes = classes.astype("int32")
        self._sizes = sizes.astype("int32")
        self._starts = np.cumsum(self._sizes, dtype="int32") - self._sizes
        self._sorted = np.argsort(classes, kind="stable").astype("int32")

    def _check(self):
        if self.num_negatives <= 0:
            raise UserError(
                "`num_negatives` must be above 0. "
                f"Received: num_negatives={self.num_negatives}"
            )
        if self.positives not in ("exact", "relaxed"):
            raise UserError(
                '`positives` must be "exact" or "relaxed". '
                f"Received: positives={self.positives!r}"
            )
        if self.positives == "relaxed" and self.labels is None:
            raise UserError(
                '`positives="relaxed"` draws from a sample\'s class and needs '
                "`labels`. Received: labels=None"
            )
        if self.labels is not None and self.labels.shape != (self.num_data,):
            raise UserError(
                "`labels` must hold one class for each of the `num_data` "
                f"samples. Received: num_data={self.num_data} and labels of "
                f"shape {self.labels.shape}"
            )
