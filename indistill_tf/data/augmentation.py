"""What training does to an image, as a value; crops of whole batches."""

import dataclasses

import tensorflow as tf

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor


@dataclasses.dataclass(frozen=True)
class Crop:
    """Shifts each image over a border of zeros and mirrors half of them.

    Each image is padded, cropped back at a random place and flipped left to
    right with probability one half: the augmentation of the CIFAR recipes. It
    is called with a batch `[N, H, W, C]` and a seed, ints `[2]`, on which alone
    the result depends.

    Attributes:
        padding: int from 0, pixels on each side. Defaults to 4.
        flip: bool, whether to mirror. Defaults to True. Without it and without
            padding images stay as they are.

    Raises:
        UserError: if a value is of another kind.
    """

    padding: int = 4
    flip: bool = True

    def __post_init__(self):
        _check_flip(self.flip)
        # Python's booleans are integers too.
        whole = type(self.padding) is int
        if not whole or self.padding < 0:
            raise UserError(
                "`padding` must be a whole number of pixels from 0. Received: "
                f"{self.padding!r}"
            )

    @property
    def changes(self) -> bool:
        """Whether anything is done to an image."""
        return self.padding > 0 or self.flip

    def __call__(self, images: Tensor, seed: Tensor) -> tf.Tensor:
        return self.apply(images, self.draw(seed, tf.shape(images)[0]))

    def draw(self, seed: Tensor, count: Tensor) -> tf.Tensor:
        """Draws where images are cropped and whether they are mirrored.

        Args:
            seed: int tensor `[2]`.
            count: int, N.

        Returns:
            Tensor int32 `[N, 3]`: the first row and the first column of the
            padded image, and 1 where it is mirrored.
        """
        places = 2 * self.padding + 1
        limits = (places, places, 2 if self.flip else 1)
        seeds = tf.unstack(tf.random.split(seed, 3))
        return tf.stack(
            [
                _integers(seed, count, limit)
                for seed, limit in zip(seeds, limits, strict=True)
            ],
            axis=1,
        )

    def apply(self, images: Tensor, crops: Tensor) -> tf.Tensor:
        """Pads images with zeros, crops them back and mirrors some.

        Args:
            images: tensor `[N, H, W, C]`.
            crops: int tensor `[N, 3]`, see `draw`.

        Returns:
            Tensor `[N, H, W, C]` of the same dtype.
        """
        if not self.changes:
            return tf.convert_to_tensor(images)
        height, width, channels = images.shape[1:]
        count, padding = tf.shape(images)[0], self.padding
        top, left, mirrored = (
            part[:, None] for part in tf.unstack(crops, axis=1)
        )
        border = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
        padded = tf.pad(images, border)
        rows = top + tf.range(height)
        columns = tf.range(width)
        columns = left + tf.where(mirrored == 1, width - 1 - columns, columns)
        # One gather of pixels does crop and flip together.
        row_length = width + 2 * padding
        image_length = (height + 2 * padding) * row_length
        first = tf.range(count)[:, None] * image_length + rows * row_length
        pixels = first[:, :, None] + columns[:, None, :]
        return tf.gather(tf.reshape(padded, (-1, channels)), pixels)


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
    """Resizes a random part of each image, and mirrors half of them.

    What it does is in `random_resized_crop`: to an image that is still
    encoded, so that no more of it is decoded than its part.

    Attributes:
        flip: bool, whether to mirror. Defaults to True.

    Raises:
        UserError: if `flip` is of another kind.
    """

    flip: bool = True

    def __post_init__(self):
        _check_flip(self.flip)


Augmentation = Crop | RandomResizedCrop


def check_kind(augmentation: Augmentation, kind: type, images: str) -> None:
    """Checks that an augmentation fits the images it is for.

    Args:
        augmentation: what came.
        kind: the class that fits.
        images: string, what the images are, for the message.

    Raises:
        UserError: if it is of another class.
    """
    if not isinstance(augmentation, kind):
        raise UserError(
            f"Images {images} are augmented by a `{kind.__name__}`. Received: "
            f"{augmentation!r}. Ask the split for its `augmentation()`."
        )


def crop_and_flip(
    images: Tensor, seed: Tensor, padding: int = 4, flip: bool = True
) -> tf.Tensor:
    """Returns what `Crop` makes of a batch of images.

    Args:
        images: tensor `[N, H, W, C]`.
        seed: int tensor `[2]`.
        padding: int, pixels on each side. Defaults to 4.
        flip: bool, whether to mirror. Defaults to True.

    Returns:
        Tensor `[N, H, W, C]` of the same dtype.
    """
    return Crop(padding, flip)(images, seed)


def _check_flip(flip):
    if not isinstance(flip, bool):
        raise UserError(f"`flip` must be True or False. Received: {flip!r}")


def _integers(seed, count, limit):
    return tf.random.stateless_uniform((count,), seed, 0, limit, dtype=tf.int32)
