"""Pieces of the adapters that several papers train beside the student."""

from keras import layers

from indistill_tf.errors import UserError


def batch_norm(dtype, synchronized):
    """Returns a batch normalisation with momentum 0.9 and epsilon 1e-5.

    Args:
        dtype: the dtype or policy of the loss that owns it.
        synchronized: bool, whether replicas share batch statistics.
    """
    return layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, dtype=dtype, synchronized=synchronized
    )


def check_map(role, shape):
    """Raises a `UserError` unless a shape is that of a map of known size.

    Args:
        role: string, whose map it is: `"teacher"` or `"student"`.
        shape: tuple, the shape of the tensor that came.
    """
    if len(shape) != 4 or None in tuple(shape)[1:]:
        raise UserError(
            f"The {role}'s tap must be a map [N, H, W, C] of known size. "
            f"Received: shape {tuple(shape)}. Tap a convolutional layer of a "
            "network built with a fixed input shape."
        )
