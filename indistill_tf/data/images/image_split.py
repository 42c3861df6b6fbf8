"""What a split of images can be asked, wherever its images are."""

import typing

import numpy as np
import tensorflow as tf

from indistill_tf.data.augmentation import Augmentation
from indistill_tf.data.order import Order


class ImageSplit(typing.Protocol):
    """Images of one split with their labels.

    `Split` holds them in memory, `EncodedSplit` leaves them in their files.

    Attributes:
        labels: int32 array `[N]`.
        channels: int, 1 or 3.
        shared_out: bool, whether under several replicas each worker reads its
            share of an epoch alone. Otherwise whole batches are cut up.
    """

    labels: np.ndarray
    channels: int
    shared_out: bool

    def __len__(self) -> int: ...

    def first_classes(self, count: int) -> typing.Self:
        """Returns the part whose labels are below `count`.

        Args:
            count: int.
        """

    def augmentation(self, padding: int = 4, flip: bool = True) -> Augmentation:
        """Returns the augmentation that fits these images.

        Args:
            padding: int, pixels, where images are padded. Defaults to 4.
            flip: bool, whether to mirror. Defaults to True.

        Returns:
            `Crop` or `RandomResizedCrop`.

        Raises:
            UserError: if a value is of another kind.
        """

    def served_by(self, address: str | None) -> typing.Self:
        """Returns the same images, prepared for training by other machines.

        Args:
            address: string such as `"grpc://host:5000"`, the dispatcher's of a
                tf.data service, or None: they are prepared here.

        Raises:
            UserError: if a service cannot prepare these images, or none
                answers at the address.
        """

    def training(
        self, order: Order, augmentation: Augmentation
    ) -> tf.data.Dataset:
        """Returns shuffled, augmented batches, epoch after epoch.

        Args:
            order: `Order`.
            augmentation: what fits, see `augmentation`.

        Returns:
            `tf.data.Dataset` of `(images uint8 [N, H, W, C], labels,
            positions)`.

        Raises:
            UserError: if the augmentation does not fit.
        """

    def evaluation(
        self, batch_size: int, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """Returns the images in order, without augmentation, once.

        Several workers have a share each, see
        `indistill_tf.distribution.share`.

        Args:
            batch_size: int.
            worker: int, counted from 0. Defaults to 0.
            workers: int. Defaults to 1.

        Returns:
            `tf.data.Dataset` of `(images uint8 [N, H, W, C], labels)`.
        """

    def images_at(self, positions: np.ndarray) -> np.ndarray:
        """Returns some of the images, without augmentation.

        Args:
            positions: int array `[N]`, in any order, also more than once.

        Returns:
            uint8 array `[N, H, W, C]`.
        """

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns what to normalise images by where nothing better is known.

        Returns:
            Tuple of the mean and the deviation of pixels scaled to 0..1, a
            float each for every channel.
        """

    def check_images(self) -> None:
        """Decodes every image that is still in its file.

        Raises:
            UserError: if one cannot be read or decoded.
        """

    def check_files(self) -> None:
        """Looks for a file that cannot be read or decoded.

        Raises:
            UserError: if there is one.
        """


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """Returns positions of some images of a split, from its first to its last.

    Args:
        total: int, of images.
        count: int, how many positions; at most all are returned.

    Returns:
        int array, rising.
    """
    return np.linspace(0, total - 1, min(total, count)).astype(int)
