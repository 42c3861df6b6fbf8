"""Images of one split that stay in their files, encoded, until a step."""

import dataclasses
import functools
import math
import typing

import numpy as np
import tensorflow as tf

from indistill_tf.data import service as data_service
from indistill_tf.data.augmentation import Augmentation
from indistill_tf.data.augmentation import RandomResizedCrop
from indistill_tf.data.augmentation import check_kind
from indistill_tf.data.images import damage
from indistill_tf.data.images import decoding
from indistill_tf.data.images.image_split import ImageSplit
from indistill_tf.data.images.records import FirstClasses
from indistill_tf.data.images.records import Records
from indistill_tf.data.order import Order
from indistill_tf.data.preprocessing import IMAGENET_MEAN
from indistill_tf.data.preprocessing import IMAGENET_STD
from indistill_tf.data.preprocessing import check_resize
from indistill_tf.data.preprocessing import fit_size
from indistill_tf.distribution import share


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedSplit(ImageSplit):
    """Images that are read and decoded as they are needed.

    For sets whose images differ in size or are too many for the memory. See
    `ImageSplit` for what a split can be asked.

    Attributes:
        records: `Records`, where the images lie.
        channels: int, 1 or 3.
        image_size: tuple `(H, W)` that the network reads.
        resize: how whole images get that size, see `Preprocessing`. Defaults
            to `"crop"`.
        service: address of a tf.data service that prepares the images for
            training, see `served_by`. Defaults to None: none does.
        shared_out: bool, True where no service prepares the images.

    Raises:
        UserError: if `resize` is unknown, or no service answers.
    """

    records: Records
    channels: int
    image_size: tuple[int, int]
    resize: str = "crop"
    service: str | None = None

    def __post_init__(self):
        check_resize(self.resize)
        if self.service is not None:
            data_service.check(self.service)

    def __len__(self) -> int:
        return len(self.records)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """int32 array `[N]`, read from the files once, decoding no image."""
        with damage.naming_damage(self):
            return self.records.labels

    @property
    def shared_out(self) -> bool:
        """Whether each worker decodes its share of the images alone."""
        return self.service is None

    def first_classes(self, count: int) -> typing.Self:
        """Returns the part whose labels are below `count`.

        Args:
            count: int.

        Raises:
            UserError: if a file is damaged.
        """
        with damage.naming_damage(self):
            records = FirstClasses(self.records, count)
        return dataclasses.replace(self, records=records)

    def augmentation(
        self, padding: int = 4, flip: bool = True
    ) -> RandomResizedCrop:
        """Returns the `RandomResizedCrop`, which pads nothing.

        Args:
            padding: int, of the splits whose images are padded. Defaults to 4.
            flip: bool, whether to mirror. Defaults to True.

        Raises:
            UserError: if `flip` is of another kind.
        """
        del padding
        return RandomResizedCrop(flip)

    def served_by(self, address: str | None) -> typing.Self:
        """Returns the same images, prepared for training by other machines.

        What this means for their order says
        `indistill_tf.data.service.distributed`.

        Args:
            address: string such as `"grpc://host:5000"`, the dispatcher's of a
                tf.data service, or None: they are prepared here.

        Raises:
            UserError: if the address is malformed or nothing answers.
        """
        return dataclasses.replace(self, service=address)

    def elements(self) -> tf.data.Dataset:
        """Returns the images in order, once, not decoded.

        Returns:
            `tf.data.Dataset` of `(bytes, label, position)`.
        """
        return self.records.in_order()

    def training(
        self, order: Order, augmentation: Augmentation
    ) -> tf.data.Dataset:
        """Returns shuffled batches of random parts of the images.

        What is done to an image depends on the seed, the epoch and the image's
        position alone.

        Args:
            order: `Order`.
            augmentation: `RandomResizedCrop`.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels, positions)`.

        Raises:
            UserError: if the augmentation is another, or the service cannot
                read these files.
        """
        check_kind(augmentation, RandomResizedCrop, "in files")
        load = functools.partial(self._load_part, order, augmentation.flip)
        if self.service is not None:
            return self._served(order, load)

        def one_epoch(epoch):
            records = self.records.shuffled(
                order.epoch_seed(epoch), order.worker, order.workers
            )
            images = records.map(
                functools.partial(load, epoch),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            return order.batched(images, len(self))

        return order.each_epoch().flat_map(one_epoch)

    def evaluation(
        self, batch_size: int, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """Returns a worker's share of the images in order, once.

        They are sized without augmentation.

        Args:
            batch_size: int.
            worker: int, counted from 0. Defaults to 0.
            workers: int. Defaults to 1.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels)`.
        """
        own = share(len(self), worker, workers)
        count = own.stop - own.start
        # Those of other workers are read, not decoded.
        encoded = self.elements().skip(own.start).take(count)
        images = encoded.map(
            self._load_whole, num_parallel_calls=tf.data.AUTOTUNE
        )
        # Under a strategy of several workers these take turns with the images;
        # by files, as is the default, their shares would differ.
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        # Keras warns of data that end where it does not know their number.
        known = tf.data.experimental.assert_cardinality(count)
        return images.apply(known).batch(batch_size).with_options(options)

    def images_at(self, positions: np.ndarray) -> np.ndarray:
        """Returns some of the images, sized without augmentation.

        The files are read once, up to the last of these images; no other is
        decoded.

        Args:
            positions: int array `[N]`.

        Returns:
            uint8 array `[N, H, W, C]`.
        """
        wanted, places = np.unique(positions, return_inverse=True)
        found = self.elements().filter(
            lambda encoded, label, position: tf.reduce_any(
                tf.cast(position, wanted.dtype) == wanted
            )
        )
        images = found.map(self._load_whole).take(len(wanted))
        return np.stack([image.numpy() for image, _ in images])[places]

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns ImageNet's: to measure them would decode every image.

        Returns:
            Tuple of two tuples of three floats, the mean and the deviation of
            pixels scaled to 0..1.
        """
        return IMAGENET_MEAN, IMAGENET_STD

    def check_images(self) -> None:
        """Decodes every image, in parallel and in a process only once.

        Raises:
            UserError: if one cannot be read or decoded; it names the file.
        """
        _ = self._all_decoded

    @functools.cached_property
    def _all_decoded(self):
        images = self.elements().map(
            lambda encoded, *_: tf.shape(
                decoding.decode(encoded, self.channels)
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        try:
            for _ in images.batch(1000):
                pass
        except damage.DAMAGE:
            damage.search(self.records, self.channels, math.inf)
            raise
        return True

    def check_files(self) -> None:
        """Looks for a file that cannot be read or decoded, for a minute.

        Raises:
            UserError: if there is one.
        """
        damage.search(self.records, self.channels)

    def _load_part(self, order, flip, epoch, encoded, label, position):
        seed = tf.random.fold_in(order.epoch_seed(epoch), position)
        image = decoding.random_resized_crop(
            encoded, self.image_size, self.channels, seed, flip
        )
        return image, label, position

    def _load_whole(self, encoded, label, position):
        del position
        image = decoding.decode(encoded, self.channels)[None]
        image = fit_size(image, self.image_size, self.resize)[0]
        return tf.ensure_shape(image, (*self.image_size, self.channels)), label

    def _served(self, order, load):
        images = self.records.stream(order).map(
            load, num_parallel_calls=tf.data.AUTOTUNE
        )
        batches = images.batch(order.batch_size, order.drop_remainder)
        return data_service.distributed(batches, self.service)
