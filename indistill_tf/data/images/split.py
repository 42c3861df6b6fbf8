"""Images of one split, held in memory."""

import dataclasses
import typing

import numpy as np
import tensorflow as tf

from indistill_tf.data.augmentation import Augmentation
from indistill_tf.data.augmentation import Crop
from indistill_tf.data.augmentation import check_kind
from indistill_tf.data.images.image_split import ImageSplit
from indistill_tf.data.order import Order
from indistill_tf.distribution import share
from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Split(ImageSplit):
    """Images in memory, all of the size that the network reads.

    See `ImageSplit` for what a split can be asked.

    Attributes:
        images: uint8 array `[N, H, W, C]`.
        labels: int32 array `[N]`.
        shared_out: bool, True.
    """

    images: np.ndarray
    labels: np.ndarray

    shared_out: typing.ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """The number of channels, 1 or 3."""
        return self.images.shape[-1]

    def first_classes(self, count: int) -> typing.Self:
        """Returns the part whose labels are below `count`.

        Args:
            count: int.
        """
        chosen = self.labels < count
        return Split(self.images[chosen], self.labels[chosen])

    def augmentation(self, padding: int = 4, flip: bool = True) -> Crop:
        """Returns the `Crop` of so many pixels.

        Args:
            padding: int, see `Crop`. Defaults to 4.
            flip: bool, see `Crop`. Defaults to True.

        Raises:
            UserError: if a value is of another kind, or the padding wider
                than the images.
        """
        narrow = min(self.images.shape[1:3])
        if isinstance(padding, int) and padding > narrow:
            raise UserError(
                f"`padding` must be at most the images' {narrow} pixels. "
                f"Received: `padding={padding}`"
            )
        return Crop(padding, flip)

    def served_by(self, address: str | None) -> typing.Self:
        """Returns these images, for no address alone.

        Args:
            address: must be None: these images are in this process.

        Raises:
            UserError: if it is given.
        """
        if address is not None:
            raise UserError(
                "A data service prepares images that stay in their files, and "
                "these are held in memory. Use "
                "`augmentation=random_resized_crop`, or no `data_service`."
            )
        return self

    def training(
        self, order: Order, augmentation: Augmentation
    ) -> tf.data.Dataset:
        """Returns shuffled batches of padded, cropped and mirrored images.

        Args:
            order: `Order`.
            augmentation: `Crop`.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels, positions)`.

        Raises:
            UserError: if the augmentation is another.
        """
        check_kind(augmentation, Crop, "in memory")
        images = tf.constant(self.images)
        labels = tf.constant(self.labels)

        def draw(seed, index):
            return index, augmentation.draw(seed, tf.shape(index)[0])

        def load(index, crops):
            batch = augmentation.apply(tf.gather(images, index), crops)
            return batch, tf.gather(labels, index), index

        batches = order.shares(order.shuffled_batches(len(self)).map(draw))
        return batches.map(load, num_parallel_calls=tf.data.AUTOTUNE)

    def evaluation(
        self, batch_size: int, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """Returns a worker's share of the images in order, once.

        Args:
            batch_size: int.
            worker: int, counted from 0. Defaults to 0.
            workers: int. Defaults to 1.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels)`.
        """
        own = share(len(self), worker, workers)
        pairs = tf.data.Dataset.from_tensor_slices(
            (self.images[own], self.labels[own])
        )
        return pairs.batch(batch_size)

    def images_at(self, positions: np.ndarray) -> np.ndarray:
        """Returns some of the images.

        Args:
            positions: int array `[N]`.

        Returns:
            uint8 array `[N, H, W, C]`.
        """
        return self.images[positions]

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns the mean and the deviation of these images' pixels.

        Returns:
            Tuple of two tuples of a float for each channel, of pixels scaled
            to 0..1.
        """
        # Means of rows first: a float64 copy of a whole set may not fit.
        means = [image.mean(axis=(0, 1)) / 255 for image in self.images]
        mean = np.mean(means, axis=0)
        squares = [
            np.square(image / 255 - mean).mean(axis=(0, 1))
            for image in self.images
        ]
        std = np.maximum(np.sqrt(np.mean(squares, axis=0)), 1 / 255)
        return tuple(mean.tolist()), tuple(std.tolist())

    def check_images(self) -> None:
        """Does nothing: these images are decoded."""

    def check_files(self) -> None:
        """Does nothing: these images are in no file any more."""
