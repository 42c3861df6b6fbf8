"""From the bytes of one image file to pixels, whole or a random part."""

import math

import tensorflow as tf

from indistill_tf.data.resizing import antialiased
from indistill_tf.hints import Tensor

SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10
MOST_PIXELS = 178_956_970


def decode(encoded: Tensor, channels: int) -> tf.Tensor:
    """Decodes an image.

    Args:
        encoded: string tensor, the bytes of a JPEG, PNG, BMP or GIF file.
        channels: int, 1 or 3.

    Returns:
        uint8 tensor `[H, W, channels]`. TensorFlow refuses the bytes of an
        image of more than 178 million pixels, as Pillow does, before any is
        decoded: a few kilobytes may stand for terabytes.
    """
    encoded = _checked(encoded, _size(encoded))
    image = tf.io.decode_image(encoded, channels, expand_animations=False)
    image.set_shape((None, None, channels))
    return image


def _size(encoded):
    """Returns height and width, as an image file's first bytes have them."""

    def numbers(place, length, dtype, little_endian):
        text = tf.strings.substr(encoded, place, length)
        return tf.cast(tf.io.decode_raw(text, dtype, little_endian), tf.int64)

    def jpeg():
        return tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64)

    head = tf.strings.substr(encoded, 0, 4)
    # What is shorter has no size, and decoding will say what it is.
    has_size = tf.strings.length(encoded) >= 26
    cases = [
        (tf.io.is_jpeg(encoded), jpeg),
        (
            has_size & (head == b"\x89PNG"),
            lambda: numbers(16, 8, tf.int32, False),
        ),
        (
            has_size & (head == b"GIF8"),
            lambda: numbers(6, 4, tf.uint16, True),
        ),
        (
            has_size & (tf.strings.substr(encoded, 0, 2) == b"BM"),
            lambda: numbers(18, 8, tf.int32, True),
        ),
    ]
    return tf.case(cases, default=lambda: tf.zeros(2, tf.int64))


def _checked(encoded, size):
    """Returns the bytes of an image once its size is known to be sane."""
    pixels = tf.reduce_prod(tf.abs(tf.cast(size, tf.int64)))
    asserted = tf.debugging.assert_less_equal(
        pixels,
        tf.constant(MOST_PIXELS, tf.int64),
        f"it has more than {MOST_PIXELS} pixels",
    )
    # Outside of a function the check has been made.
    with tf.control_dependencies([asserted] if asserted is not None else []):
        return tf.identity(encoded)


def random_window(
    height: Tensor,
    width: Tensor,
    draws: Tensor,
    scale: tuple[float, float] = SCALE,
    ratio: tuple[float, float] = RATIO,
) -> tf.Tensor:
    """Chooses the part of an image that a training step sees.

    The window's area is a fraction of the image's, uniform in `scale`, and its
    width over its height is log-uniform in `ratio`. Of ten such windows the
    first that fits into the image is taken, at a uniform place; should none
    fit, the largest centred part whose sides are in `ratio`.

    Args:
        height: int tensor.
        width: int tensor.
        draws: tensor `[22]` of uniform random numbers in 0..1: areas, ratios,
            and the place.
        scale: pair of floats. Defaults to (0.08, 1).
        ratio: pair of floats. Defaults to (3/4, 4/3).

    Returns:
        int32 tensor `(top, left, height, width)`.

    References:
        - [Szegedy et al., 2014](https://arxiv.org/abs/1409.4842), sec. 6
    """
    sides = tf.cast(tf.stack([height, width]), tf.float32)
    fractions = _between(*scale, draws[:ATTEMPTS])
    roots = tf.sqrt(fractions * (sides[0] * sides[1]))
    logs = [math.log(bound) / 2 for bound in ratio]
    stretch = tf.exp(_between(*logs, draws[ATTEMPTS : 2 * ATTEMPTS]))
    windows = tf.round(tf.stack([roots / stretch, roots * stretch], axis=1))
    # The last resort stands last, so that it is found if nothing else fits.
    windows = tf.concat([windows, [_largest_window(sides, ratio)]], axis=0)
    fits = tf.reduce_all(windows <= sides, axis=1)
    chosen = tf.argmax(fits, output_type=tf.int32)
    window = tf.maximum(windows[chosen], 1.0)
    # The centre is where the last resort goes.
    place = tf.where(chosen < ATTEMPTS, draws[2 * ATTEMPTS :], 0.5)
    free = sides - window
    corner = tf.minimum(tf.floor(place * (free + 1.0)), free)
    return tf.cast(tf.concat([corner, window], axis=0), tf.int32)


def random_resized_crop(
    encoded: Tensor,
    image_size: tuple[int, int],
    channels: int,
    seed: Tensor,
    flip: bool = True,
) -> tf.Tensor:
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
    # One draw for everything: each small op costs more than its arithmetic.
    draws = tf.random.stateless_uniform((2 * ATTEMPTS + 3,), seed)

    is_jpeg = tf.io.is_jpeg(encoded)
    # Of a JPEG file only the part is decoded; another has to be decoded whole.
    whole = tf.cond(
        is_jpeg,
        lambda: tf.zeros((0, 0, channels), tf.uint8),
        lambda: decode(encoded, channels),
    )
    shape = tf.cond(
        is_jpeg,
        lambda: tf.io.extract_jpeg_shape(encoded),
        lambda: tf.shape(whole),
    )
    encoded = _checked(encoded, shape[:2])
    window = random_window(shape[0], shape[1], draws[:-1])
    part = tf.cond(
        is_jpeg,
        lambda: tf.io.decode_and_crop_jpeg(encoded, window, channels),
        lambda: _cropped(whole, window),
    )
    image = antialiased(part[None], image_size)[0]
    # No pixel can leave 0..255: it is a mean of pixels. So this rounds.
    image = tf.cast(image + 0.5, tf.uint8)
    if flip:
        # `tf.reverse` takes a twentieth of the time of image[:, ::-1].
        mirrored = draws[-1] < 0.5
        image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.ensure_shape(image, (*image_size, channels))


def _cropped(image, window):
    top, left, height, width = tf.unstack(window)
    return image[top : top + height, left : left + width]


def _largest_window(sides, ratio):
    across = tf.round(sides[::-1] * (1 / ratio[0], ratio[1]))
    return tf.minimum(sides, across)


def _between(low, high, draws):
    return low + (high - low) * draws
