"""Which samples of the training set CRD compares a sample with."""

from typing import Any

import keras
import numpy as np
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.seeded import SeededLayer


@keras.saving.register_keras_serializable(package="indistill_tf")
class ContrastSampler(SeededLayer):
    """Draws a positive and negatives for each sample of a batch.

    The training set is sorted by class once, so that a sample's own class is
    one stretch of it and the other classes are all the rest. Ranks are drawn
    in that rest; no table `[N, num_data]` of candidates is needed.

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

    def call(self, sample_ids: Tensor) -> Tensor:
        positives = sample_ids
        if self.positives == "relaxed":
            positives = self.draw_positives(sample_ids)
        negatives = self.draw_negatives(sample_ids)
        return ops.concatenate([positives[:, None], negatives], axis=1)

    def draw_positives(self, sample_ids: Tensor) -> Tensor:
        """Draws one sample of the own class for every sample of a batch.

        Args:
            sample_ids: int tensor `[N]`.

        Returns:
            Int tensor `[N]`; a sample may draw itself.
        """
        own = ops.take(self._classes, sample_ids)
        sizes = ops.take(self._sizes, own)
        ranks = self._integers_below(sizes, ops.shape(sizes))
        return ops.take(self._sorted, ops.take(self._starts, own) + ranks)

    def draw_negatives(self, sample_ids: Tensor) -> Tensor:
        """Draws samples of other classes for every sample of a batch.

        They are drawn without replacement for a sample whose other classes
        hold at least K samples, and with replacement for the others, so that
        classes of any size and sets smaller than K work.

        Args:
            sample_ids: int tensor `[N]`.

        Returns:
            Int tensor `[N, K]`.
        """
        own = ops.take(self._classes, sample_ids)[:, None]
        sizes = ops.take(self._sizes, own)
        candidates = self.num_data - sizes
        ranks = self._distinct_ranks(candidates)
        if self.num_negatives > self.num_data - self._sizes.max():
            shape = (ops.shape(sample_ids)[0], self.num_negatives)
            ranks = ops.where(
                candidates >= self.num_negatives,
                ranks,
                self._integers_below(candidates, shape),
            )
        behind = ranks >= ops.take(self._starts, own)
        return ops.take(self._sorted, ops.where(behind, ranks + sizes, ranks))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_data": self.num_data,
            "labels": None if self.labels is None else self.labels.tolist(),
            "num_negatives": self.num_negatives,
            "positives": self.positives,
        }

    def _distinct_ranks(self, candidates):
        """Draws ranks below `candidates [N, 1]`, no rank twice in a row.

        One shuffle serves the whole batch, as it is by far the dearest part.
        Each row reads it as a ring, from a random start of its own. So every
        row is a uniform draw, and the mean of any function over one row is
        uncorrelated with that over another.

        Rows with fewer candidates than the ring has ranks follow the cycles of
        the shuffle past the ranks that are too large. What is left of a
        uniform permutation without these is a uniform permutation again.
        """
        longest = self.num_data - int(self._sizes.min())
        ring = keras.random.shuffle(
            ops.arange(longest, dtype="int32"), seed=self.seed_generator
        )
        start = self._integers_below(candidates, ops.shape(candidates))
        steps = ops.arange(self.num_negatives, dtype="int32")
        return ops.while_loop(
            lambda ranks: ops.any(ranks >= candidates),
            lambda ranks: ops.where(
                ranks >= candidates, ops.take(ring, ranks), ranks
            ),
            ops.take(ring, (start + steps) % candidates),
        )

    def _integers_below(self, bounds, shape):
        """Draws uniform ints of a shape, each from 0 up to its bound."""
        uniform = keras.random.uniform(
            shape, dtype="float32", seed=self.seed_generator
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
