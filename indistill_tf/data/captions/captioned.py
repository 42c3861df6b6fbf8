"""Images with captions of one split, held in memory."""

import dataclasses
from typing import Any

import numpy as np

from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class CaptionedSplit:
    """Images in memory, each with one caption or more.

    Attributes:
        images: uint8 array `[N, H, W, C]`, of the size that the network reads.
        captions: tuple of M strings, those of the first image first.
        counts: int array `[N]`, the captions of each image, 1 or more.
        labels: int32 array `[N]` of classes, or None where there are none.

    Raises:
        UserError: if an image has no caption, or numbers do not fit.
    """

    images: np.ndarray
    captions: tuple[str, ...]
    counts: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self):
        counts = np.asarray(self.counts)
        if counts.shape != (len(self.images),) or counts.min(initial=1) < 1:
            raise UserError(
                f"Every image needs a caption. Received: {len(self.images)} "
                f"images with {counts.tolist()[:10]} captions each. Leave out "
                "those without."
            )
        if counts.sum() != len(self.captions):
            raise UserError(
                f"There are {len(self.captions)} captions, but `counts` adds "
                f"up to {counts.sum()}. Give the number of each image's."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def first_captions(self) -> np.ndarray:
        """Int array `[N]`: where the captions of each image begin."""
        return np.cumsum(self.counts) - self.counts

    @property
    def image_of(self) -> np.ndarray:
        """Int array `[M]`: the image that each caption belongs to."""
        return np.repeat(np.arange(len(self)), self.counts)


@dataclasses.dataclass(frozen=True)
class CaptionSet:
    """Images with captions, and how a network reads them.

    Attributes:
        name: string.
        train: `CaptionedSplit` to train on.
        test: `CaptionedSplit` to report on.
        preprocessing: `Preprocessing`.
        class_names: tuple of strings, for zero-shot classification of the
            splits' labels; empty where there are none.
    """

    name: str
    train: CaptionedSplit
    test: CaptionedSplit
    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of the network's input."""
        return self.preprocessing.input_shape

    def describe(self) -> dict[str, Any]:
        """Returns what a run's record says of the pairs, JSON-ready."""
        return {
            "name": self.name,
            "train": [len(self.train), len(self.train.captions)],
            "test": [len(self.test), len(self.test.captions)],
            "class_names": list(self.class_names),
            "preprocessing": dataclasses.asdict(self.preprocessing),
        }
