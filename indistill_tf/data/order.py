"""Which images come when: a function of the seed and the epoch alone."""

import dataclasses

import numpy as np
import tensorflow as tf

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

_LAST_EPOCH = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Order:
    """The epochs that a pipeline gives, and its share of each.

    Several workers with the same seed and different `worker` give every image
    of an epoch once between them. They must drop the remainder, so that each
    of them gives equally many batches.

    Attributes:
        batch_size: int, images in a batch of all workers together.
        seed: int.
        first_epoch: int, counted from 0. Defaults to 0.
        first_step: int, the batches of the first epoch that are left out.
            Defaults to 0.
        epochs: int, how many. Defaults to None: without end.
        drop_remainder: bool, whether the last, smaller batch of an epoch is
            left out. Defaults to False.
        worker: int, counted from 0. Defaults to 0.
        workers: int. Defaults to 1.
        parts: int, the batches that a worker's share of a batch is given in,
            one for each of its replicas. Defaults to 1.

    Raises:
        UserError: if a number is out of range.
    """

    batch_size: int
    seed: int
    first_epoch: int = 0
    first_step: int = 0
    epochs: int | None = None
    drop_remainder: bool = False
    worker: int = 0
    workers: int = 1
    parts: int = 1

    def __post_init__(self):
        if self.batch_size < 1:
            raise UserError(
                "A batch holds one image or more. Received: "
                f"`batch_size={self.batch_size}`"
            )
        if not 0 <= self.worker < self.workers:
            raise UserError(
                "Workers are counted from 0 up to their number. Received: "
                f"`worker={self.worker}`, `workers={self.workers}`"
            )

    @property
    def end(self) -> int:
        """The first epoch that is not given."""
        if self.epochs is None:
            return _LAST_EPOCH
        return self.first_epoch + self.epochs

    def each_epoch(self) -> tf.data.Dataset:
        """Returns the dataset of the epochs' numbers."""
        return tf.data.Dataset.range(self.first_epoch, self.end)

    def epoch_seed(self, epoch: Tensor) -> tf.Tensor:
        """Returns the seed of an epoch, ints `[2]`.

        Args:
            epoch: int tensor.
        """
        return tf.random.fold_in([self.seed, 0], tf.cast(epoch, tf.int32))

    def batched(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Batches this worker's share of an epoch.

        Args:
            dataset: dataset of single images, of one epoch.
            size: int, images in an epoch of all workers together.
        """
        if self.drop_remainder:
            whole = size // self.batch_size * self.batch_size
            dataset = dataset.take(whole // self.workers)
        return dataset.batch(
            self.batch_size // (self.workers * self.parts),
            drop_remainder=self.drop_remainder,
        )

    def shares(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns this worker's rows of whole batches, in its parts.

        What a batch holds is then the same however many workers there are.

        Args:
            batches: dataset of tuples of tensors `[N, ...]`, whole batches of
                all workers together.

        Returns:
            Dataset of tuples of tensors `[N / workers / parts, ...]`.
        """
        if self.workers * self.parts == 1:
            return batches

        rows = self.batch_size // (self.workers * self.parts)

        def own(*tensors):
            shape = self.workers, self.parts, rows
            return tuple(
                tf.reshape(tensor, (*shape, *tensor.shape[1:]))[self.worker]
                for tensor in tensors
            )

        return batches.map(own).unbatch()

    def from_first_step(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Leaves out the first epoch's batches that were seen before.

        Args:
            batches: dataset of batches, from the first epoch's first one on.
        """
        return batches.skip(self.first_step * self.parts)

    def shuffled_batches(self, size: int) -> tf.data.Dataset:
        """Returns the positions of all epochs' images, shuffled, in batches.

        These are whole batches of all workers together, see `shares`.

        Args:
            size: int, images in an epoch.

        Returns:
            Dataset of pairs: the seed of a batch's augmentation, ints `[2]`,
            and its positions `[N]`.
        """

        def one_epoch(epoch):
            seed = self.epoch_seed(epoch)
            positions = shuffled_positions(size, seed)
            positions = tf.data.Dataset.from_tensor_slices(positions)
            return (
                positions.batch(self.batch_size, self.drop_remainder)
                .enumerate()
                .map(
                    lambda step, index: (
                        tf.random.fold_in(seed, tf.cast(step, tf.int32)),
                        index,
                    )
                )
            )

        return self.each_epoch().flat_map(one_epoch)


def shuffled_positions(size, seed):
    """Returns 0, 1, ..., size - 1 in the order that a seed gives.

    Args:
        size: int.
        seed: int tensor `[2]`.
    """
    return tf.random.experimental.stateless_shuffle(tf.range(size), seed)


def on_host(values):
    """Returns a tensor for datasets to refer to, in the host's memory.

    Args:
        values: array or list.
    """
    with tf.device("CPU:0"):
        return tf.constant(values)


def collect_labels(labels):
    """Returns a dataset's labels as an int32 array.

    Args:
        labels: dataset of single labels.
    """
    batches = labels.batch(4096).as_numpy_iterator()
    return np.concatenate([np.zeros(0, "int32"), *batches]).astype("int32")
