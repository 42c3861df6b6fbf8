"""Numerical care that several papers' equations need."""

import keras
from keras import ops


def at_least_float32(*tensors):
    """Casts half-precision tensors to float32 and leaves wider ones alone."""
    cast = []
    for tensor in tensors:
        tensor = ops.convert_to_tensor(tensor)
        half = keras.backend.standardize_dtype(tensor.dtype) in (
            "float16",
            "bfloat16",
        )
        cast.append(ops.cast(tensor, "float32") if half else tensor)
    return cast


def safe_unit_rows(features, epsilon):
    """Returns rows divided by `norm + epsilon`; a zero row stays zero.

    Args:
        features: tensor `[N, D]`.
        epsilon: float, added to each row's Euclidean norm.

    The gradient at an all-zero row is zero. The plain formula has slope
    `1 / epsilon` there and the plain square root a NaN.
    """
    squared = ops.sum(ops.square(features), axis=-1, keepdims=True)
    is_zero = ops.equal(squared, 0)
    norm = ops.sqrt(ops.where(is_zero, ops.ones_like(squared), squared))
    return ops.where(
        is_zero, ops.zeros_like(features), features / (norm + epsilon)
    )


def safe_norm(tensor, axis=-1, keepdims=False):
    """Euclidean norm whose gradient at an all-zero slice is zero, not NaN.

    Args:
        tensor: tensor.
        axis: int, tuple of ints, or None for all axes. Defaults to -1.
        keepdims: bool. Defaults to False.
    """
    squared = ops.sum(ops.square(tensor), axis=axis, keepdims=keepdims)
    is_zero = ops.equal(squared, 0)
    root = ops.sqrt(ops.where(is_zero, ops.ones_like(squared), squared))
    return ops.where(is_zero, ops.zeros_like(squared), root)


def flatten_samples(features):
    """Reshapes `[N, ...]` to `[N, D]`."""
    if len(features.shape) == 2:
        return features
    return ops.reshape(features, (ops.shape(features)[0], -1))
