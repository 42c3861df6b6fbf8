"""Where encoded images lie: what files of every format can be asked."""

import functools
import typing
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from indistill_tf.data.order import Order
from indistill_tf.data.order import on_host
from indistill_tf.hints import Tensor


class Records(typing.Protocol):
    """Encoded images in files: their number, and three ways to read them.

    A record comes as `(bytes, label, position)`.

    Attributes:
        labels: int32 array `[N]`, read when it is asked for.
        image_files: bool, whether each file is one image.
    """

    labels: np.ndarray
    image_files: bool = False

    def __len__(self) -> int: ...

    def in_order(self) -> tf.data.Dataset:
        """Returns the records in their order, once."""

    def shuffled(
        self, seed: Tensor, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """Returns one epoch's records, or one worker's share of them.

        Args:
            seed: int tensor `[2]`, the epoch's.
            worker: int. Defaults to 0.
            workers: int. Defaults to 1.
        """

    def stream(self, order: Order) -> tf.data.Dataset:
        """Returns `(epoch, bytes, label, position)`, epochs without a seam.

        A tf.data service can hand it out in pieces.

        Args:
            order: `Order`.

        Raises:
            UserError: if a service cannot read these files.
        """

    def files(self) -> Iterator[tuple[str, tf.data.Dataset]]:
        """Yields each file's name and its records, for a search by file."""


class FirstClasses(Records):
    """Those of other records whose labels are below a number.

    All labels are read when it is made.

    Args:
        records: `Records`.
        count: int, the classes that are kept.
    """

    def __init__(self, records: Records, count: int):
        self._records, self._count = records, count
        self.image_files = records.image_files
        numbers = np.cumsum(self._kept(records.labels), dtype="int32") - 1
        self._numbers = on_host(numbers)

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """int32 array `[N]`."""
        return self._records.labels[self._kept(self._records.labels)]

    def in_order(self) -> tf.data.Dataset:
        """Returns the records in their order, once."""
        return self._renumbered(self._records.in_order())

    def shuffled(
        self, seed: Tensor, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """Returns one epoch's records, or one worker's share of them.

        Args:
            seed: int tensor `[2]`, the epoch's.
            worker: int. Defaults to 0.
            workers: int. Defaults to 1.
        """
        # Parts of equal size hold unequally many images of some classes.
        records = self._renumbered(self._records.shuffled(seed))
        return records.shard(workers, worker)

    def stream(self, order: Order) -> tf.data.Dataset:
        """Returns `(epoch, bytes, label, position)`, epochs without a seam.

        Args:
            order: `Order`.

        Raises:
            UserError: if a service cannot read these files.
        """
        return self._renumbered(self._records.stream(order))

    def files(self) -> Iterator[tuple[str, tf.data.Dataset]]:
        """Yields each file's name and its records, of all classes."""
        return self._records.files()

    def _renumbered(self, records):
        # The last two of a record are its label and its position.
        kept = records.filter(lambda *record: self._kept(record[-2]))
        return kept.map(
            lambda *record: (
                *record[:-1],
                tf.gather(self._numbers, record[-1]),
            )
        )

    def _kept(self, labels):
        return labels < self._count
