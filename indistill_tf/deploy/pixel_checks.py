"""What an exported graph refuses, in a sentence each."""

import tensorflow as tf

from indistill_tf.hints import Tensor

DTYPES = (tf.uint8, tf.float32)
# What lists, NumPy and decoders make of pixels otherwise.
REFUSED = (
    *(tf.float64, tf.float16, tf.bfloat16, tf.bool, tf.string),
    *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint16, tf.uint32, tf.uint64),
)


def unshaped(images: Tensor) -> tf.Tensor:
    """Returns images whose shape is known when they are computed only.

    A shape that does not fit would otherwise fail where TensorFlow infers
    shapes, before a sentence can be said.

    Args:
        images: tensor.
    """
    return tf.compat.v1.placeholder_with_default(images, shape=None)


def checked(images: Tensor, preprocessing: object) -> tf.Tensor:
    """Returns images of known rank, once they are found to be some.

    Args:
        images: uint8 or float32 tensor of unknown shape, see `unshaped`.
        preprocessing: `indistill_tf.data.Preprocessing`.

    Returns:
        The same `[N, H, W, C]`. Computing it fails, in a sentence, if the rank
        or the number of channels is another, if there is no image or one is
        larger than what it would be padded to, or if a pixel is not finite.
    """
    *size, channels = preprocessing.input_shape
    shape = tf.shape(images)
    fits = tf.equal(tf.rank(images), 4) & tf.reduce_all(
        tf.equal(shape[3:], [channels])
    )
    images = _asserted(images, fits, f"the shape [N, H, W, {channels}]")
    images = _asserted(
        images, tf.reduce_all(tf.shape(images) > 0), "at least one pixel"
    )
    if preprocessing.resize == "pad":
        fits = tf.reduce_all(tf.shape(images)[1:3] <= size)
        images = _asserted(images, fits, f"sides of at most {size} pixels")
    if images.dtype.is_floating:
        finite = tf.reduce_all(tf.math.is_finite(images))
        images = _asserted(images, finite, "pixels that are finite")
    return tf.ensure_shape(images, (None, None, None, channels))


def refused(images: Tensor) -> tf.Tensor:
    """Returns nothing: computing it fails, and says which dtypes are read.

    Args:
        images: tensor of another dtype.
    """
    sentence = (
        "Images are uint8 or float32, of pixel values 0..255. Received: "
        f"{images.dtype.name}"
    )
    failure = tf.debugging.Assert(False, [sentence])
    with tf.control_dependencies([failure]):
        return tf.zeros((0, 0))


def _asserted(images, condition, expected):
    received = tf.strings.format(
        f"Images have {expected}. Received the shape {{}}", tf.shape(images)
    )
    check = tf.debugging.Assert(condition, [received])
    with tf.control_dependencies([check]):
        return tf.identity(images)
