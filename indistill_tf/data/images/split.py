"""Images of one split, held in memory."""

import dataclasses

import numpy as np
import tensorflow as tf

from indistill_tf.data.augmentation import crop_and_flip
from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Split:
    """Images in memory, all of the size that the network reads.

    Attributes:
        images: uint8 array `[N, H, W, C]`.
        labels: int32 array `[N]`.
        encoded: bool, False: what tells these splits from those in files.
    """

    images: np.ndarray
    labels: np.ndarray

    encoded = False

    def __len__(self):
        return len(self.labels)

    def first_classes(self, count):
        """Returns the part whose labels are below `count`.

        Args:
            count: int.
        """
        chosen = self.labels < count
        return Split(self.images[chosen], self.labels[chosen])

    def training(self, order, preprocessing, padding, flip, service=None):
        """Returns shuffled batches of padded, cropped and mirrored images.

        Args:
            order: `Order`.
            preprocessing: `Preprocessing`.
            padding: int, see `crop_and_flip`.
            flip: bool, see `crop_and_flip`.
            service: must be None: these images are in this process.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels, positions)`.

        Raises:
            UserError: if `service` is given.
        """
        del preprocessing
        if service is not None:
            raise UserError(
                "A data service prepares images that stay in their files, and "
                "these are held in memory. Use --augmentation="
                "random_resized_crop, or no --data_service."
            )
        images = tf.constant(self.images)
        labels = tf.constant(self.labels)

        def load(seed, index):
            batch = tf.gather(images, index)
            if padding or flip:
                batch = crop_and_flip(batch, seed, padding, flip)
            return batch, tf.gather(labels, index), index

        batches = order.shuffled_batches(len(self))
        return batches.map(load, num_parallel_calls=tf.data.AUTOTUNE)

    def evaluation(self, preprocessing, batch_size):
        """Returns the images in order, once.

        Args:
            preprocessing: `Preprocessing`.
            batch_size: int.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels)`.
        """
        del preprocessing
        pairs = tf.data.Dataset.from_tensor_slices((self.images, self.labels))
        return pairs.batch(batch_size)
