"""Bringing datasets and slices to images in memory."""

import re

import numpy as np
import tensorflow as tf

from indistill_tf.data.images.split import Split
from indistill_tf.data.preprocessing import fit_size
from indistill_tf.errors import UserError
from indistill_tf.machine import check_memory


def collect(dataset, image_size, resize):
    """Reads a dataset of single images into memory at one size.

    Args:
        dataset: finite dataset of `(image [H, W, C], label)`.
        image_size: tuple `(H, W)`.
        resize: a mode of `Preprocessing`.

    Returns:
        `Split`.
    """

    def sized(image, label):
        image = fit_size(image[None], image_size, resize)[0]
        return tf.cast(image, tf.uint8), tf.cast(label, tf.int32)

    batches = dataset.map(sized, num_parallel_calls=tf.data.AUTOTUNE)
    batches = list(batches.batch(1000).as_numpy_iterator())
    if not batches:
        return Split(np.zeros((0, *image_size, 3), "uint8"), np.zeros(0, "i"))
    images, labels = zip(*batches, strict=True)
    return Split(np.concatenate(images), np.concatenate(labels))


def check_fits(count: int, image_size: tuple[int, int], channels: int) -> None:
    """Refuses images that the memory cannot hold.

    Args:
        count: int, how many.
        image_size: tuple `(H, W)`, as they would be held.
        channels: int.

    Raises:
        UserError: if they are too large.
    """
    height, width = image_size
    check_memory(
        float(count) * height * width * channels,
        f"{count} images of {height} x {width} pixels",
        "Choose a smaller `image_size`, or leave them in their files with "
        "`augmentation=random_resized_crop`.",
    )


def parse_split(spec, splits):
    """Returns a split's name and a function from its size to (first, last).

    Args:
        spec: string such as `"train"` or `"train[:90%]"`.
        splits: iterable of the names that exist.

    Raises:
        UserError: if `spec` is malformed or its split does not exist.
    """
    # A folder's name may hold blanks, hyphens and letters of any language.
    match = re.fullmatch(r"([^\[]+)(?:\[(\d*%?):(\d*%?)\])?", spec)
    if not match or match[1] not in splits:
        raise UserError(
            f"Unknown split {spec!r}. Expected one of {', '.join(splits)}, or "
            f"a slice of one such as '{next(iter(splits), 'train')}[:90%]'."
        )

    def bound(text, size, default):
        if not text:
            return default
        if text.endswith("%"):
            return round(int(text[:-1]) * size / 100)
        return int(text)

    return match[1], lambda size: (
        bound(match[2], size, 0),
        bound(match[3], size, size),
    )
