"""Encoded images in TFRecord shards, which are read from front to back."""

import functools

import numpy as np
import tensorflow as tf

from indistill_tf.data.images.records import Records
from indistill_tf.data.order import collect_labels
from indistill_tf.data.order import on_host
from indistill_tf.data.order import shuffled_positions

# Shards that are open at a time, and records in a row from each.
_CYCLE = 16
_BLOCK = 16
# Records that a shuffle draws from: about half a gigabyte of ImageNet.
SHUFFLE_BUFFER = 4096


class TfRecords(Records):
    """Images in TFRecord shards, which are read from front to back.

    An epoch takes the shards in a new order, several at a time, and draws from
    a buffer of `SHUFFLE_BUFFER` records.

    Args:
        instructions: list of TFDS' file instructions: a shard's `filename`,
            and which of its records are meant.
        parse: function from a record to `(bytes, label)`.
        parse_label: function from a record to the label alone.
    """

    def __init__(self, instructions, parse, parse_label):
        self.instructions, self.parse = instructions, parse
        self.parse_label = parse_label
        takes = np.array([item.take for item in instructions], "int64")
        self._size = int(takes.sum())
        # Tensors, which datasets refer to; arrays would be copied into them.
        self._columns = (
            on_host([str(item.filename) for item in instructions]),
            on_host(np.array([item.skip for item in instructions], "int64")),
            on_host(takes),
            on_host(np.cumsum(takes) - takes),
        )

    def __len__(self):
        return self._size

    @functools.cached_property
    def labels(self):
        """int32 array `[N]`; costs a pass over the files."""
        shards = tf.data.Dataset.from_tensor_slices(self._columns)
        records = shards.flat_map(self._records)
        return collect_labels(
            records.map(
                lambda record, _: self.parse_label(record),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
        )

    def in_order(self):
        """Returns the records in their order, once."""
        shards = tf.data.Dataset.from_tensor_slices(self._columns)
        return shards.flat_map(self._records).map(self._element)

    def shuffled(self, seed, worker=0, workers=1):
        """Returns one epoch's records, or one worker's share of them.

        Workers share out the shards, cut where a share ends within one, so
        their shares differ by one record at most.

        Args:
            seed: int tensor `[2]`, the epoch's.
            worker: int. Defaults to 0.
            workers: int. Defaults to 1.
        """
        order = shuffled_positions(len(self.instructions), seed)
        columns = [tf.gather(column, order) for column in self._columns]
        columns = _part_of_shards(
            *columns,
            len(self) * worker // workers,
            len(self) * (worker + 1) // workers,
        )
        shards = tf.data.Dataset.from_tensor_slices(columns)
        shards = shards.filter(lambda name, skip, take, first: take > 0)
        records = shards.interleave(
            self._records,
            cycle_length=_CYCLE,
            block_length=_BLOCK,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return _buffered(records, seed).map(self._element)

    def stream(self, order):
        """Returns `(epoch, bytes, label, position)`, epochs without a seam.

        The shards of all epochs are one long list, which a tf.data service
        deals out to its machines one by one.

        Args:
            order: `Order`.
        """
        count = len(self.instructions)

        def shard(number):
            epoch = number // count
            shards = shuffled_positions(count, order.epoch_seed(epoch))
            chosen = shards[number % count]
            columns = [tf.gather(column, chosen) for column in self._columns]
            records = self._records(*columns)
            return records.map(lambda *record: (epoch, *record))

        records = tf.data.Dataset.range(
            order.first_epoch * count, order.end * count
        ).interleave(shard, cycle_length=_CYCLE, block_length=_BLOCK)
        records = _buffered(records, order.epoch_seed(order.first_epoch))
        return records.map(
            lambda epoch, *record: (epoch, *self._element(*record))
        )

    def files(self):
        """Yields each shard's name and its records, for a search by shard."""
        for name, *rest in zip(*self._columns):
            records = self._records(name, *rest)
            yield name.numpy().decode(), records.map(self._element)

    def _records(self, name, skip, take, first):
        records = tf.data.TFRecordDataset(name).skip(skip).take(take)
        return tf.data.Dataset.zip(
            records, tf.data.Dataset.range(first, first + take)
        )

    def _element(self, record, position):
        return (*self.parse(record), tf.cast(position, tf.int32))


def _part_of_shards(names, skips, takes, firsts, begin, end):
    """Cuts a list of shards to the records `begin` to `end` of all."""
    ends = tf.cumsum(takes)
    begins = ends - takes
    # Of each shard: the records before the part, and those up to its end.
    before = tf.clip_by_value(begin - begins, 0, takes)
    within = tf.clip_by_value(end - begins, 0, takes)
    return names, skips + before, within - before, firsts + before


def _buffered(records, seed):
    # The global seed would count beside this one. In a dataset's function it is
    # that function's, so nothing outside changes; at 0, TensorFlow would ask
    # whether the other is 0 too, which a function cannot.
    if not tf.executing_eagerly():
        tf.random.set_seed(1)
    number = tf.cast(seed[0], tf.int64) * 2**31 + tf.cast(seed[1], tf.int64)
    return records.shuffle(
        SHUFFLE_BUFFER, seed=number, reshuffle_each_iteration=False
    )
