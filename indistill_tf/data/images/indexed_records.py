"""Encoded images of which any can be read at once."""

import functools
import os

import numpy as np
import tensorflow as tf

from indistill_tf.data.images import decoding
from indistill_tf.data.images.records import Records
from indistill_tf.data.order import collect_labels
from indistill_tf.data.order import on_host
from indistill_tf.data.order import shuffled_positions
from indistill_tf.errors import UserError

# Records of an ArrayRecord file that one call reads.
_READ = 64


class IndexedRecords(Records):
    """Base of the `Records` that read any record at once.

    An epoch is an exact shuffle of all positions, dealt out to the workers.
    """

    def in_order(self):
        """Returns the records in their order, once."""
        return self._read(tf.data.Dataset.range(len(self)))

    def shuffled(self, seed, worker=0, workers=1):
        """Returns one epoch's records, or one worker's share of them.

        Args:
            seed: int tensor `[2]`, the epoch's.
            worker: int. Defaults to 0.
            workers: int. Defaults to 1.
        """
        positions = shuffled_positions(len(self), seed)
        positions = tf.cast(positions[worker::workers], tf.int64)
        return self._read(tf.data.Dataset.from_tensor_slices(positions))


class ArrayRecords(IndexedRecords):
    """Images in ArrayRecord shards.

    Args:
        instructions: list of TFDS' file instructions.
        parse: function from a record to `(bytes, label)`.
        parse_label: function from a record to the label alone.
    """

    def __init__(self, instructions, parse, parse_label):
        self.instructions, self.parse = instructions, parse
        self.parse_label = parse_label

    def __len__(self):
        return sum(item.take for item in self.instructions)

    @functools.cached_property
    def labels(self):
        """int32 array `[N]`; costs a pass over the files."""
        records = self._records(tf.data.Dataset.range(len(self)))
        return collect_labels(
            records.map(lambda record, _: self.parse_label(record))
        )

    def stream(self, order):
        """Refuses: TensorFlow alone, which a service runs, cannot read these.

        Args:
            order: `Order`.

        Raises:
            UserError: always.
        """
        raise UserError(
            "A data service cannot read ArrayRecord files. Prepare the set as "
            "TFRecord, or leave `data_service` out."
        )

    def files(self):
        """Yields each shard's name and its records, for a search by shard."""
        for item in self.instructions:
            part = ArrayRecords([item], self.parse, self.parse_label)
            yield item.filename, part.in_order()

    @functools.cached_property
    def _opened(self):
        from array_record.python import array_record_data_source

        return array_record_data_source.ArrayRecordDataSource(self.instructions)

    def _fetch(self, positions):
        return np.array(self._opened.__getitems__(positions.tolist()), object)

    def _records(self, positions):
        def fetch(batch):
            records = tf.numpy_function(self._fetch, [batch], tf.string)
            return tf.ensure_shape(records, (None,)), batch

        batches = positions.batch(_READ).map(fetch, tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE).unbatch()

    def _read(self, positions):
        return self._records(positions).map(
            lambda record, position: (
                *self.parse(record),
                tf.cast(position, tf.int32),
            )
        )


class ImageFiles(IndexedRecords):
    """Images in a file each.

    Args:
        paths: sequence of strings.
        labels: int32 array.

    Attributes:
        labels: as above.
        image_files: bool, True.
    """

    image_files = True

    def __init__(self, paths, labels):
        self.paths = [str(path) for path in paths]
        # Bytes: a name from another system may be no text here.
        names = [os.fsencode(path) for path in self.paths]
        self.labels = np.asarray(labels, "int32")
        # Tensors, which datasets refer to; arrays would be copied into them.
        self._columns = on_host(names), on_host(self.labels)

    def __len__(self):
        return len(self.paths)

    def stream(self, order):
        """Returns `(epoch, bytes, label, position)`, epochs without a seam.

        Args:
            order: `Order`.
        """
        size = len(self)

        def choose(number):
            epoch = number // size
            position = tf.random.experimental.index_shuffle(
                number % size, order.epoch_seed(epoch), size - 1
            )
            return (epoch, *self._load(position))

        numbers = tf.data.Dataset.range(
            order.first_epoch * size, order.end * size
        )
        return numbers.map(choose, num_parallel_calls=tf.data.AUTOTUNE)

    def files(self):
        """Yields each file's name and its image where that cannot be decoded.

        All cores look for such images; those that are whole are yielded with
        none, so that a search may end between them.
        """

        def decoded(encoded, _, position):
            # Of what is not used of an image, nothing would be decoded.
            return position, tf.shape(decoding.decode(encoded, 3))

        whole = self.in_order().map(decoded, tf.data.AUTOTUNE).ignore_errors()
        following = 0
        for position, _ in whole.as_numpy_iterator():
            for damaged in range(following, position):
                yield self.paths[damaged], map(self._load, [damaged])
            yield self.paths[position], ()
            following = position + 1
        for damaged in range(following, len(self)):
            yield self.paths[damaged], map(self._load, [damaged])

    def _read(self, positions):
        return positions.map(self._load, num_parallel_calls=tf.data.AUTOTUNE)

    def _load(self, position):
        path, label = (tf.gather(column, position) for column in self._columns)
        return tf.io.read_file(path), label, tf.cast(position, tf.int32)
