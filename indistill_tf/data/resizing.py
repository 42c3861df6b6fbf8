"""Resizing of images."""

import tensorflow as tf

from indistill_tf.hints import Tensor


def antialiased(images: Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Resizes images bilinearly; where a side shrinks, with antialiasing.

    Values are those of `tf.image.resize(images, image_size, antialias=True)`,
    in less time.

    Args:
        images: uint8 or float tensor `[N, H, W, C]`.
        image_size: tuple `(H, W)`, or an int tensor `[2]`.

    Returns:
        float32 tensor `[N, *image_size, C]`.
    """
    # TensorFlow resizes heights by whole rows, and widths number by number. So
    # widths are resized as heights, of images that lie on their side.
    height, width = tf.unstack(tf.convert_to_tensor(image_size))
    on_their_side = tf.transpose(_with_height(images, height), (0, 2, 1, 3))
    return tf.transpose(_with_height(on_their_side, width), (0, 2, 1, 3))


def _with_height(images, height):
    shape = tf.shape(images)
    # A row of pixels as the channels of one pixel.
    rows = tf.reshape(images, (shape[0], shape[1], 1, shape[2] * shape[3]))
    rows = tf.image.resize(rows, (height, 1), antialias=True)
    return tf.reshape(rows, (shape[0], height, shape[2], images.shape[3]))
