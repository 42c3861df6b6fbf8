"""Augmentation of whole batches, in TensorFlow ops, seeded."""

import tensorflow as tf


def crop_and_flip(images, seed, padding=4, flip=True):
    """Shifts each image over a border of zeros and mirrors half of them.

    Each image is padded by `padding` pixels, cropped back at a random place
    and flipped left to right with probability one half: the augmentation of
    the CIFAR recipes. The result depends on the seed alone.

    Args:
        images: tensor `[N, H, W, C]`.
        seed: int tensor `[2]`.
        padding: int, pixels on each side. Defaults to 4.
        flip: bool, whether to mirror. Defaults to True.

    Returns:
        Tensor `[N, H, W, C]` of the same dtype.
    """
    crops = draw_crops(seed, tf.shape(images)[0], padding, flip)
    return crop(images, crops, padding)


def draw_crops(seed, count, padding=4, flip=True):
    """Draws where images are cropped and whether they are mirrored.

    Args:
        seed: int tensor `[2]`.
        count: int, N.
        padding: int, pixels on each side. Defaults to 4.
        flip: bool, whether to mirror. Defaults to True.

    Returns:
        Tensor int32 `[N, 3]`: the first row and the first column of the padded
        image, and 1 where it is mirrored.
    """
    limits = (2 * padding + 1, 2 * padding + 1, 2 if flip else 1)
    seeds = tf.unstack(tf.random.split(seed, 3))
    return tf.stack(
        [_integers(seed, count, limit) for seed, limit in zip(seeds, limits)],
        axis=1,
    )


def crop(images, crops, padding=4):
    """Pads images with zeros, crops them back and mirrors some.

    Args:
        images: tensor `[N, H, W, C]`.
        crops: int tensor `[N, 3]`, see `draw_crops`.
        padding: int, pixels on each side. Defaults to 4.

    Returns:
        Tensor `[N, H, W, C]` of the same dtype.
    """
    height, width, channels = images.shape[1:]
    count = tf.shape(images)[0]
    top, left, mirrored = (part[:, None] for part in tf.unstack(crops, axis=1))
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


def _integers(seed, count, limit):
    return tf.random.stateless_uniform((count,), seed, 0, limit, dtype=tf.int32)
