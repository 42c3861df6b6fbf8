"""Vectors brought to unit length: of tensors, and of arrays."""

import numpy as np
from keras import ops

from indistill_tf.hints import Tensor


def of_tensor(vectors: Tensor) -> Tensor:
    """Returns vectors divided by their Euclidean lengths, in float32.

    A vector that is shorter than `keras.config.epsilon()` is divided by that.

    Args:
        vectors: tensor `[..., D]`.
    """
    return ops.normalize(ops.cast(vectors, "float32"), axis=-1)


def of_array(vectors: np.ndarray, floor: float = 1e-12) -> np.ndarray:
    """Returns vectors divided by their Euclidean lengths.

    NumPy rounds otherwise than `of_tensor`, and keeps the width of a float.

    Args:
        vectors: array `[..., D]` of floats.
        floor: float above 0, the smallest divisor. Defaults to 1e-12.

    Example:

    >>> of_array(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, floor)
