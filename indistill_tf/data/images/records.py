"""Where encoded images lie: what files of every format can be asked."""

import typing
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from indistill_tf.data.order import Order
from indistill_tf.hints import Tensor


class Records(typing.Protocol):
    """Encoded images in files: their number, and three ways to read them.

    A record comes as `(bytes, label, position)`.

    Attributes:
        labels: int32 array `[N]`, read when it is asked for.
    """

    labels: np.ndarray

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
