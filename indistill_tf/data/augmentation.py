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
    height, width, channels = images.shape[1:]
    count = tf.shape(images)[0]
    seeds = tf.random.split(seed, 3)
    border = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    padded = tf.pad(images, border)
    top = _integers(seeds[0], count, 2 * padding + 1)
    left = _integers(seeds[1], count, 2 * padding + 1)
    rows = top[:, None] + tf.range(height)
    columns = tf.range(width)
    if flip:
        mirrored = _integers(seeds[2], count, 2)[:, None]
        columns = tf.where(mirrored == 1, width - 1 - columns, columns)
    columns = left[:, None] + columns
    # One gather of pixels does crop and flip together.
    row_length = width + 2 * padding
    image_length = (height + 2 * padding) * row_length
    first = tf.range(count)[:, None] * image_length + rows * row_length
    pixels = first[:, :, None] + columns[:, None, :]
    return tf.gather(tf.reshape(padded, (-1, channels)), pixels)


def _integers(seed, count, limit):
    return tf.random.stateless_uniform((count,), seed, 0, limit, dtype=tf.int32)
