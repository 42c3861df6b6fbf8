"""Patches of maps: what single values of a convolution are computed from."""

import numpy as np
from keras import layers


def patches(
    layer: layers.Conv2D, maps: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Returns what a convolution reads at some positions of its output.

    Args:
        layer: built `keras.layers.Conv2D`.
        maps: array `[N, H, W, C]`, its input.
        positions: ints `[N, P]` into the output's height x width, row by row.

    Returns:
        Array `[N, P, D]`, D in the order of `layer.kernel`.
    """
    sizes = zip(
        maps.shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate
    )
    same = layer.padding == "same"
    borders, counts = zip(*(_extent(*size, same) for size in sizes))
    maps = np.pad(maps, [(0, 0), *borders, (0, 0)])
    spans = [
        np.arange(size) * dilation
        for size, dilation in zip(layer.kernel_size, layer.dilation_rate)
    ]
    rows, columns = np.unravel_index(positions, counts)
    rows = rows[..., None, None] * layer.strides[0] + spans[0][:, None]
    columns = columns[..., None, None] * layer.strides[1] + spans[1]
    images = np.arange(len(maps))[:, None, None, None]
    return maps[images, rows, columns].reshape(*positions.shape, -1)


def _extent(size, kernel, stride, dilation, same):
    """Returns the border of zeros along an axis, and the output's size."""
    window = (kernel - 1) * dilation + 1
    if not same:
        return (0, 0), (size - window) // stride + 1
    count = -(-size // stride)
    missing = max((count - 1) * stride + window - size, 0)
    # TensorFlow puts the odd one behind.
    return (missing // 2, missing - missing // 2), count
