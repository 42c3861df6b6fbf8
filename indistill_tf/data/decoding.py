"""From the bytes of one image file to pixels, whole or a random part."""

import math

import tensorflow as tf

SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10


def decode(encoded, channels):
    """Decodes an image.

    Args:
        encoded: string tensor, the bytes of a JPEG, PNG, BMP or GIF file.
        channels: int, 1 or 3.

    Returns:
        uint8 tensor `[H, W, channels]`.
    """
    image = tf.io.decode_image(encoded, channels, expand_animations=False)
    image.set_shape((None, None, channels))
    return image


def random_window(height, width, seed, scale=SCALE, ratio=RATIO):
    """Chooses the part of an image that a training step sees.

    The window's area is a fraction of the image's, uniform in `scale`, and its
    width over its height is log-uniform in `ratio`. Of ten such windows the
    first that fits into the image is taken, at a uniform place; should none
    fit, the largest centred part whose sides are in `ratio`.

    Args:
        height: int tensor.
        width: int tensor.
        seed: int tensor `[2]`.
        scale: pair of floats. Defaults to (0.08, 1).
        ratio: pair of floats. Defaults to (3/4, 4/3).

    Returns:
        int32 tensor `(top, left, height, width)`.

    References:
        - [Szegedy et al., 2014](https://arxiv.org/abs/1409.4842), sec. 6
    """
    # One draw for all attempts and the place: small ops cost their overhead.
    draws = tf.random.stateless_uniform((2 * ATTEMPTS + 2,), seed)
    sides = tf.cast(tf.stack([height, width]), tf.float32)
    area = _between(*scale, draws[:ATTEMPTS]) * sides[0] * sides[1]
    logs = _between(math.log(ratio[0]), math.log(ratio[1]), draws[ATTEMPTS:-2])
    root = tf.exp(tf.stack([-logs, logs], axis=1) / 2)
    windows = tf.round(tf.sqrt(area)[:, None] * root)
    fits = tf.reduce_all((windows > 0) & (windows <= sides), axis=1)
    windows = tf.concat([windows, [_largest_window(sides, ratio)]], axis=0)
    chosen = tf.argmax(tf.concat([fits, [True]], axis=0))
    window = windows[chosen]
    free = sides - window
    anywhere = tf.minimum(tf.floor(draws[-2:] * (free + 1)), free)
    centre = tf.floor(free / 2)
    corner = tf.where(chosen < ATTEMPTS, anywhere, centre)
    return tf.cast(tf.concat([corner, window], axis=0), tf.int32)


def random_resized_crop(encoded, image_size, channels, seed, flip=True):
    """Decodes a random part of an image, at the size that the network reads.

    See `random_window` for the part. A JPEG file is decoded only as far as the
    part reaches. The part is resized bilinearly with antialiasing, as the
    recipes in other frameworks do, and mirrored with probability one half.

    Args:
        encoded: string tensor, the bytes of an image file.
        image_size: tuple `(H, W)`.
        channels: int, 1 or 3.
        seed: int tensor `[2]`, which alone decides on part and mirroring.
        flip: bool, whether to mirror. Defaults to True.

    Returns:
        uint8 tensor `[*image_size, channels]`.

    References:
        - [Szegedy et al., 2014](https://arxiv.org/abs/1409.4842), sec. 6
    """
    seeds = tf.random.split(seed, 2)

    def part_of_jpeg():
        shape = tf.io.extract_jpeg_shape(encoded)
        window = random_window(shape[0], shape[1], seeds[0])
        return tf.io.decode_and_crop_jpeg(encoded, window, channels)

    def part_of_another():
        image = decode(encoded, channels)
        shape = tf.shape(image)
        top, left, height, width = tf.unstack(
            random_window(shape[0], shape[1], seeds[0])
        )
        return image[top : top + height, left : left + width]

    part = tf.cond(tf.io.is_jpeg(encoded), part_of_jpeg, part_of_another)
    image = tf.image.resize(part, image_size, antialias=True)
    if flip:
        mirrored = tf.random.stateless_uniform((), seeds[1]) < 0.5
        image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
    image = tf.saturate_cast(tf.round(image), tf.uint8)
    return tf.ensure_shape(image, (*image_size, channels))


def _largest_window(sides, ratio):
    height, width = sides[0], sides[1]
    return tf.stack(
        [
            tf.minimum(height, tf.round(width / ratio[0])),
            tf.minimum(width, tf.round(height * ratio[1])),
        ]
    )


def _between(low, high, draws):
    return low + (high - low) * draws
