"""Channel pruning of a teacher (InDistill, Algorithm 1), without masks.

The l1 norm of a filter ranks it; the kept filters make a narrower `Conv2D`.
A narrowed layer reads the unpruned previous activation: only output channels
go, so the targets of different taps do not disturb each other.
"""

from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

BATCH_NORM_MODES = ("carry", "batch_statistics")


def l1_scores(kernel: Tensor) -> np.ndarray:
    """Returns each filter's l1 norm.

    InDistill Algorithm 1, lines 3-5; the bias does not count.

    Args:
        kernel: array `[height, width, inputs, filters]`.

    Returns:
        Array `[filters]`.

    Example:

    >>> kernel = np.array([-3.0, 1.0, 2.0]).reshape(1, 1, 1, 3)
    >>> l1_scores(kernel).tolist()
    [3.0, 1.0, 2.0]
    """
    return np.abs(np.asarray(kernel)).sum(axis=(0, 1, 2))


def kept_channels(kernel: Tensor, width: int) -> np.ndarray:
    """Returns the filters that pruning keeps, in their original order.

    Algorithm 1, lines 6-8: the `filters - width` lowest l1 norms go; of equal
    norms the later filter is kept.

    Args:
        kernel: array `[height, width, inputs, filters]`.
        width: int, the number of filters to keep, 1 to `filters`.

    Returns:
        Ascending int array `[width]`.

    Raises:
        UserError: if `width` is out of range.

    Example:

    >>> kernel = np.array([-3.0, 1.0, 2.0]).reshape(1, 1, 1, 3)
    >>> kept_channels(kernel, 2).tolist()
    [0, 2]
    """
    return highest(l1_scores(kernel), width)


def highest(scores: Tensor, width: int) -> np.ndarray:
    """Returns the channels with the highest scores, in their original order.

    Args:
        scores: array `[channels]`; of equal scores the later one is kept.
        width: int, the number of channels to keep, 1 to `channels`.

    Returns:
        Ascending int array `[width]`.

    Raises:
        UserError: if `width` is out of range.
    """
    if not 1 <= width <= len(scores):
        raise UserError(
            f"`width` must be between 1 and the {len(scores)} filters of the "
            f"kernel. Received: width={width}"
        )
    order = np.argsort(scores, kind="stable")
    return np.sort(order[len(scores) - width :])


def pruned_width(width: int, rate: float) -> int:
    """Returns the channels left of `width` at a pruning rate.

    Args:
        width: int.
        rate: float in [0, 1), the share of channels removed; the number
            removed is rounded half to even, as in the released code.

    Raises:
        UserError: if `rate` is out of range.

    Example:

    >>> pruned_width(16, 0.5)
    8
    """
    if not 0 <= rate < 1:
        raise UserError(f"`rate` must be in [0, 1). Received: rate={rate}")
    return width - round(rate * width)


def narrow_conv(layer: layers.Conv2D, kept: np.ndarray) -> layers.Conv2D:
    """Returns a `Conv2D` with some of another's filters.

    Args:
        layer: built `keras.layers.Conv2D`.
        kept: int array, the filters to keep.

    Returns:
        A built, frozen `Conv2D` that reads what `layer` reads.

    Raises:
        UserError: if `layer` is a grouped convolution.
    """
    if layer.groups != 1:
        raise UserError(
            f"Layer {layer.name!r} is a grouped convolution (groups="
            f"{layer.groups}); its filters cannot be pruned one by one. Tap a "
            "layer behind an ordinary convolution."
        )
    config = frozen_config(layer)
    config["filters"] = len(kept)
    narrowed = layers.Conv2D.from_config(config)
    narrowed.build((None, None, None, layer.kernel.shape[2]))
    weights = [np.asarray(layer.kernel)[..., kept]]
    if layer.use_bias:
        weights.append(np.asarray(layer.bias)[kept])
    narrowed.set_weights(weights)
    return narrowed


def narrow_batch_norm(
    layer: layers.BatchNormalization,
    kept: np.ndarray,
    mode: str = "carry",
    synchronized: bool = False,
) -> layers.Layer:
    """Returns a batch normalisation for some of another's channels.

    Args:
        layer: built `keras.layers.BatchNormalization`.
        kept: int array, the channels to keep.
        mode: `"carry"` keeps gamma, beta and the moving statistics and runs in
            inference mode; `"batch_statistics"` keeps gamma alone, with beta
            0 and the statistics of each batch, which is what the InDistill
            authors' code does. Defaults to `"carry"`.
        synchronized: bool, whether these statistics are those of the batch of
            all replicas. Defaults to False.

    Returns:
        A built, frozen layer.

    Raises:
        UserError: if `mode` is unknown.
    """
    gamma = np.asarray(layer.gamma)[kept] if layer.scale else None
    if mode == "batch_statistics":
        narrowed = BatchStatisticsNormalization(layer.epsilon, synchronized)
        narrowed.build((None, None, None, len(kept)))
        if gamma is not None:
            narrowed.set_weights([gamma])
        return narrowed
    if mode != "carry":
        raise UserError(
            f"`mode` of a pruned batch normalisation must be one of "
            f"{BATCH_NORM_MODES}. Received: mode={mode!r}"
        )
    narrowed = layers.BatchNormalization.from_config(frozen_config(layer))
    narrowed.build((None, None, None, len(kept)))
    narrowed.set_weights([np.asarray(weight)[kept] for weight in layer.weights])
    return narrowed


def scale(layer: layers.BatchNormalization) -> np.ndarray:
    """Returns the sizes of the factors of a batch normalisation in inference.

    Args:
        layer: built `keras.layers.BatchNormalization`.

    Returns:
        Array `[channels]`: `abs(gamma) / sqrt(variance + epsilon)`, of the
        moving variance.
    """
    gamma = np.abs(np.asarray(layer.gamma)) if layer.scale else 1.0
    return gamma / np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)


@keras.saving.register_keras_serializable(package="indistill_tf")
class BatchStatisticsNormalization(layers.Layer):
    """Normalises each channel by the batch's own mean and variance.

    Args:
        epsilon: float added to the variance.
        synchronized: bool, whether the batch is that of all replicas of a
            `tf.distribute` strategy. Defaults to False.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        x: tensor `[N, H, W, C]`.
    """

    def __init__(
        self, epsilon: float, synchronized: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.synchronized = synchronized

    def build(self, input_shape: tuple) -> None:
        self.gamma = self.add_weight(
            shape=(input_shape[-1],),
            initializer="ones",
            trainable=False,
            name="gamma",
        )

    def call(self, x: Tensor) -> Tensor:
        mean, variance = ops.moments(
            x, axes=(0, 1, 2), keepdims=True, synchronized=self.synchronized
        )
        return (x - mean) * self.gamma / ops.sqrt(variance + self.epsilon)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
        }


def frozen_config(layer: layers.Layer) -> dict:
    """Returns the config of a layer's frozen, unnamed copy.

    Args:
        layer: `keras.layers.Layer`.
    """
    config = {**layer.get_config(), "trainable": False}
    # A view may hold both the layer and its narrowed copy: each has its name.
    del config["name"]
    return config
