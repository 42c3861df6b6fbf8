"""Pruned feature maps: any map of a functional model with fewer channels.

The channels are ranked by the l1 norms of the filters that produced them
(`indistill_tf.pruning`), found through normalisation, activation, pooling,
addition and concatenation. Where it can, the convolution is rebuilt narrower;
elsewhere the map is computed whole and sliced, to the same values.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.graph import pruning
from indistill_tf.graph.traversal import depth
from indistill_tf.graph.traversal import inputs
from indistill_tf.graph.traversal import is_pooled
from indistill_tf.hints import Tensor

# Layers that act on each channel by itself, so that a rebuilt map can pass.
_CHANNELWISE = (
    layers.Activation,
    layers.AveragePooling2D,
    layers.Dropout,
    layers.Identity,
    layers.LeakyReLU,
    layers.MaxPooling2D,
    layers.ReLU,
    layers.ZeroPadding2D,
)

# Activations that compare channels, so that one alone has another value.
_ACROSS_CHANNELS = (
    keras.activations.log_softmax,
    keras.activations.softmax,
    keras.activations.sparsemax,
)

# Layers with a filter for each channel of their output, as a function from the
# layer to filters `[height, width, inputs, channels]`.
_FILTERS = {
    layers.Conv2D: lambda layer: layer.kernel,
    layers.Conv2DTranspose: lambda layer: ops.swapaxes(layer.kernel, 2, 3),
    layers.Dense: lambda layer: layer.kernel[None, None],
    # [height, width, channels, multiplier] -> one channel after the other.
    layers.DepthwiseConv2D: lambda layer: ops.reshape(
        layer.kernel, (*layer.kernel.shape[:2], 1, -1)
    ),
    layers.SeparableConv2D: lambda layer: layer.pointwise_kernel,
}


def pruned_map(
    tensor: Tensor,
    width: int,
    batch_norm: str = "carry",
    synchronized: bool = False,
    ranking: Callable | None = None,
) -> keras.KerasTensor:
    """Returns a teacher's feature map with fewer channels.

    Behind normalisation, activation, pooling and the addition of a shortcut,
    the convolution is rebuilt with the kept filters alone and what follows it
    is applied again; it reads the unpruned previous map. At the end of a
    residual block it is the block's last convolution, and the shortcut is
    indexed with the same channels. At any other layer (a concatenation, a
    depthwise or grouped convolution, a gate) the layer's output is sliced.

    Args:
        tensor: symbolic `[N, H, W, C]` output of a functional model.
        width: int, the channels to keep; with `width == C` the tensor is
            returned as it is.
        batch_norm: see `indistill_tf.pruning.narrow_batch_norm`. Defaults to
            `"carry"`.
        synchronized: bool, whether statistics of the batch are those of all
            replicas. Defaults to False.
        ranking: function from a symbolic map to the score of each channel,
            see `indistill_tf.rankings`; the highest are kept. Defaults to
            `channel_scores`.

    Returns:
        Symbolic tensor `[N, H, W, width]`.

    Raises:
        UserError: if the width is out of range or no filters are found behind
            the map.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003),
          Algorithm 1
    """
    if width == tensor.shape[-1]:
        return tensor
    kept = pruning.highest((ranking or channel_scores)(tensor), width)
    return _rebuild(tensor, kept, (batch_norm, synchronized))


def channel_scores(tensor: Tensor) -> np.ndarray:
    """Returns the l1 norm of the filter behind each channel of a map.

    Args:
        tensor: symbolic `[N, H, W, C]` output of a functional model.

    Returns:
        Array `[C]`.

    Raises:
        UserError: if a channel has no filter behind it.
    """
    return _l1_norms(tensor, folded=False)


def folded_channel_scores(tensor: Tensor) -> np.ndarray:
    """Returns the l1 norm of what inference makes of each channel's filter.

    A batch normalisation behind a filter multiplies it by
    `abs(gamma) / sqrt(variance + epsilon)`, of the moving variance.

    Args:
        tensor: symbolic `[N, H, W, C]` output of a functional model.

    Returns:
        Array `[C]`.

    Raises:
        UserError: if a channel has no filter behind it.
    """
    return _l1_norms(tensor, folded=True)


def _l1_norms(tensor, folded):
    operation = tensor._keras_history.operation
    if (filters := _filters(operation)) is not None:
        return pruning.l1_scores(filters)
    if _concatenates_channels(operation):
        parts = [_l1_norms(part, folded) for part in inputs(tensor)]
        return np.concatenate(parts)
    if not isinstance(operation, layers.BatchNormalization):
        return _l1_norms(_main_input(tensor), folded)
    norms = _l1_norms(inputs(tensor)[0], folded)
    return norms * pruning.scale(operation) if folded else norms


def batch_norm_of(tensor: Tensor, batch_norm: str) -> str:
    """Returns how a pruned map is normalised in fact.

    Args:
        tensor: symbolic `[N, H, W, C]` output of a functional model.
        batch_norm: what is asked for, see `pruned_map`.

    Returns:
        `"carry"` where pruning rebuilds no batch normalisation, so that the
        map depends on one image alone, else what is asked for.
    """
    while not _is_narrowable(tensor._keras_history.operation):
        if not _passes(tensor):
            break
        if isinstance(
            tensor._keras_history.operation, layers.BatchNormalization
        ):
            return batch_norm
        tensor = _main_input(tensor)
    return "carry"


def source(tensor: Tensor) -> keras.KerasTensor:
    """Returns the map that the filters behind a map's channels compute.

    Args:
        tensor: symbolic `[N, H, W, C]` output of a functional model.

    Returns:
        The output of the layer with these filters, or of a concatenation.

    Raises:
        UserError: if a channel has no filter behind it.
    """
    while not has_filters(tensor):
        operation = tensor._keras_history.operation
        if _concatenates_channels(operation):
            break
        tensor = _main_input(tensor)
    return tensor


def has_filters(tensor: Tensor) -> bool:
    """Returns whether the layer that computes a map has a filter a channel.

    Args:
        tensor: symbolic output of a functional model.
    """
    return isinstance(tensor._keras_history.operation, tuple(_FILTERS))


def describe(tensor: Tensor, width: int) -> str:
    """Returns how `pruned_map` prunes a map, in a few words.

    Args:
        tensor: symbolic `[N, H, W, C]` output of a functional model.
        width: int, the channels to keep.
    """
    if width == tensor.shape[-1]:
        return "as it is"
    while _passes(tensor):
        tensor = _main_input(tensor)
    operation = tensor._keras_history.operation
    if _is_narrowable(operation):
        return f"rebuilt from {operation.name}"
    return f"sliced after {operation.name}"


def _rebuild(tensor, kept, statistics):
    operation = tensor._keras_history.operation
    if _is_narrowable(operation):
        return pruning.narrow_conv(operation, kept)(inputs(tensor)[0])
    if not _passes(tensor):
        return ops.take(tensor, kept, axis=-1)
    main = _main_input(tensor)
    pruned = _rebuild(main, kept, statistics)
    if isinstance(operation, layers.Add):
        shortcuts = [ops.take(item, kept, axis=-1) for item in inputs(tensor)]
        # One only: a map may be added to itself.
        del shortcuts[[item is main for item in inputs(tensor)].index(True)]
        return layers.Add()([pruned, *shortcuts])
    if isinstance(operation, layers.BatchNormalization):
        return pruning.narrow_batch_norm(operation, kept, *statistics)(pruned)
    return type(operation).from_config(pruning.frozen_config(operation))(pruned)


def _filters(operation):
    for kind, filters in _FILTERS.items():
        if isinstance(operation, kind):
            return filters(operation)
    return None


def _is_narrowable(operation):
    return (
        isinstance(operation, layers.Conv2D)
        and operation.groups == 1
        and operation.activation not in _ACROSS_CHANNELS
    )


def _concatenates_channels(operation):
    # The layer and the operation of `keras.ops` have one name.
    return type(operation).__name__ == "Concatenate" and _is_last(operation)


def _is_last(operation):
    return operation.axis in (-1, 3)


def _passes(tensor):
    """Returns whether a rebuilt map can go through what computed this one."""
    operation = tensor._keras_history.operation
    if getattr(operation, "activation", None) in _ACROSS_CHANNELS:
        return False
    if isinstance(operation, layers.Add):
        shapes = {tuple(item.shape) for item in inputs(tensor)}
        return shapes == {tuple(tensor.shape)}
    if isinstance(operation, layers.BatchNormalization):
        return _is_last(operation)
    return isinstance(operation, _CHANNELWISE)


def _main_input(tensor):
    """Returns the input through which the producing convolution is reached."""
    shape = tuple(tensor.shape)
    operation = tensor._keras_history.operation
    candidates = [
        item
        for item in inputs(tensor)
        if len(item.shape) == 4 and item.shape[-1] == shape[-1]
    ]
    # A gate has the channels too, but not the size, or it comes of a pooling.
    whole = [item for item in candidates if tuple(item.shape) == shape]
    maps = [item for item in whole if len(whole) < 2 or not is_pooled(item)]
    if not candidates or isinstance(operation, layers.Lambda):
        raise UserError(
            f"Layer {operation.name!r} ({type(operation).__name__}) stands "
            "between the tap and its convolution and changes the channels, or "
            "may, so they cannot be ranked. Tap a layer that follows a "
            "convolution through layers that keep its channels."
        )
    return max(maps or whole or candidates, key=depth)
