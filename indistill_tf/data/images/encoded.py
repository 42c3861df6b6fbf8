"""Images of one split that stay in their files, encoded, until a step."""

import functools

import numpy as np
import tensorflow as tf

from indistill_tf.data import service as data_service
from indistill_tf.data.images import damage
from indistill_tf.data.images import decoding
from indistill_tf.data.order import on_host
from indistill_tf.data.preprocessing import fit_size


class EncodedSplit:
    """Images that are read and decoded as they are needed.

    For sets whose images differ in size or are too many for the memory.

    Args:
        records: `Records`, where the images lie.
        channels: int, 1 or 3.
        classes: int, keep images of the first classes only. Defaults to None:
            all.

    Attributes:
        records: as above.
        channels: as above.
        encoded: bool, True: what tells these splits from those in memory.
    """

    encoded = True

    def __init__(self, records, channels, classes=None):
        self.records, self.channels = records, channels
        self._classes = classes
        if classes is not None:
            kept = self._kept(self._all_labels())
            numbers = np.cumsum(kept, dtype="int32") - 1
            self._numbers = on_host(numbers)

    def __len__(self):
        return len(self.records if self._classes is None else self.labels)

    @functools.cached_property
    def labels(self):
        """int32 array `[N]`, read from the files once, decoding no image."""
        labels = self._all_labels()
        return labels if self._classes is None else labels[self._kept(labels)]

    def first_classes(self, count):
        """Returns the part whose labels are below `count`.

        Args:
            count: int.
        """
        count = min(count, self._classes or count)
        return EncodedSplit(self.records, self.channels, count)

    def elements(self):
        """Returns the images in order, once, not decoded.

        Returns:
            `tf.data.Dataset` of `(bytes, label, position)`.
        """
        return self._renumbered(self.records.in_order())

    def training(self, order, preprocessing, padding, flip, service=None):
        """Returns shuffled batches of random parts of the images.

        What is done to an image depends on the seed, the epoch and the image's
        position alone; see `indistill_tf.data.decoding.random_resized_crop`.

        Args:
            order: `Order`.
            preprocessing: `Preprocessing`.
            padding: int, means nothing here.
            flip: bool, whether to mirror.
            service: address of a tf.data service, or None.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels, positions)`.
        """
        del padding

        def load(epoch, encoded, label, position):
            seed = tf.random.fold_in(order.epoch_seed(epoch), position)
            image = decoding.random_resized_crop(
                encoded, preprocessing.image_size, self.channels, seed, flip
            )
            return image, label, position

        def one_epoch(epoch):
            records = self._share(order, epoch)
            images = records.map(
                functools.partial(load, epoch),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            return order.batched(images, len(self))

        if service is None:
            return order.each_epoch().flat_map(one_epoch)
        stream = self._renumbered(self.records.stream(order))
        images = stream.map(load, num_parallel_calls=tf.data.AUTOTUNE)
        return data_service.distributed(
            images.batch(order.batch_size, order.drop_remainder), service
        )

    def evaluation(self, preprocessing, batch_size):
        """Returns the images in order, once, sized without augmentation.

        Args:
            preprocessing: `Preprocessing`.
            batch_size: int.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels)`.
        """

        def load(encoded, label, position):
            del position
            image = decoding.decode(encoded, self.channels)[None]
            size, resize = preprocessing.image_size, preprocessing.resize
            image = tf.ensure_shape(
                fit_size(image, size, resize)[0], (*size, self.channels)
            )
            return image, label

        images = self.elements().map(load, num_parallel_calls=tf.data.AUTOTUNE)
        # Under a strategy of several workers these take turns with the images;
        # by files, as is the default, their shares would differ.
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        # Keras warns of data that end where it does not know their number.
        known = tf.data.experimental.assert_cardinality(len(self))
        return images.apply(known).batch(batch_size).with_options(options)

    def _all_labels(self):
        with damage.naming_damage(self):
            return self.records.labels

    def _share(self, order, epoch):
        """The records of an epoch that a worker decodes."""
        seed = order.epoch_seed(epoch)
        if self._classes is None:
            return self.records.shuffled(seed, order.worker, order.workers)
        # Parts of equal size hold unequally many images of some classes.
        records = self._renumbered(self.records.shuffled(seed))
        return records.shard(order.workers, order.worker)

    def _renumbered(self, records):
        if self._classes is None:
            return records
        # The last two of a record are its label and its position.
        kept = records.filter(lambda *record: self._kept(record[-2]))
        return kept.map(
            lambda *record: (
                *record[:-1],
                tf.gather(self._numbers, record[-1]),
            )
        )

    def _kept(self, labels):
        return labels < self._classes
