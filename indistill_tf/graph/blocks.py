"""Blocks: where the maps of a network are those that flow from block to block.

The last map of a size is the block's own output in a plain or residual
network. In one of inverted residuals it is the wide expansion with which the
next block begins, before it halves the size.
"""

import collections

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.graph import pruned_maps
from indistill_tf.graph import traversal

Map = tuple[str, keras.KerasTensor]


def maps_of_size(
    model: keras.Model, size: tuple[int, int]
) -> tuple[list[Map], list[Map]]:
    """Returns a model's maps of one size, the best to be compared first.

    Maps between a convolution and its activation do not count, nor what a
    pooling leaves of a map of another size.

    Args:
        model: functional `keras.Model`.
        size: height and width.

    Returns:
        Two lists of names and symbolic outputs, deepest first: the outputs of
        blocks, through which all the network goes, and the maps inside them.
        Layers named `tap_<i>` are outputs of blocks, and the only maps.
    """
    maps = [
        (name, tensor)
        for name, tensor in reversed(endpoints.all_maps(model).items())
        if tuple(tensor.shape[1:3]) == size
    ]
    if endpoints.has_named_taps(name for name, _ in maps):
        return maps, []
    readers = _readers(model)
    narrow, pooled = _bottlenecks(model), {}
    outputs, inside = [], []
    for name, tensor in maps:
        if not _is_of_its_size(tensor) or _goes_on(tensor, readers):
            continue
        wide = _is_widened(tensor) or _is_narrowed_at_once(
            tensor, readers, pooled
        )
        own = id(tensor) in narrow and not wide
        (outputs if own else inside).append((name, tensor))
    return outputs, inside


def _readers(model):
    """Returns the tensors computed from each tensor, by its `id`."""
    readers = collections.defaultdict(list)
    for tensor in traversal.tensors(model):
        for before in traversal.inputs(tensor):
            readers[id(before)].append(tensor)
    return readers


def _bottlenecks(model):
    """Returns the tensors through which every path of a model goes."""
    order = list(traversal.tensors(model))
    places = {id(tensor): place for place, tensor in enumerate(order)}
    last = list(range(len(order)))
    for place, tensor in enumerate(order):
        for before in traversal.inputs(tensor):
            last[places[id(before)]] = place
    found, reach = set(), 0
    for place, tensor in enumerate(order):
        # Nothing before this tensor is read by what comes behind it.
        if reach <= place:
            found.add(id(tensor))
        reach = max(reach, last[place])
    return found


def _is_of_its_size(tensor):
    """Returns whether the filters behind a map compute one of its size."""
    try:
        source = pruned_maps.source(tensor)
    except UserError:
        return False
    return tuple(source.shape[1:3]) == tuple(tensor.shape[1:3])


def _goes_on(tensor, readers):
    """Returns whether only a normalisation or an activation reads a map."""
    following = readers[id(tensor)]
    return bool(following) and all(
        len(traversal.inputs(item)) == 1
        and tuple(item.shape) == tuple(tensor.shape)
        and not pruned_maps.has_filters(item)
        for item in following
    )


def _is_widened(tensor):
    """Returns whether pointwise filters alone made a map, from a narrower."""
    # Not through an addition: what ends a block of bottlenecks is widened too.
    while not pruned_maps.has_filters(tensor):
        before = traversal.inputs(tensor)
        if len(before) != 1:
            return False
        (tensor,) = before
    (before,) = traversal.inputs(tensor)
    return _is_pointwise(tensor) and tensor.shape[-1] > before.shape[-1]


def _is_narrowed_at_once(tensor, readers, pooled):
    """Returns whether a projection is all that reads a map, or its gate."""
    following = _unpooled(readers[id(tensor)], pooled)
    while len(following) == 1 and _is_gate(following[0], pooled):
        following = _unpooled(readers[id(following[0])], pooled)
    return len(following) == 1 and (
        _is_pointwise(following[0])
        and following[0].shape[-1] < tensor.shape[-1]
    )


def _is_gate(tensor, pooled):
    before = traversal.inputs(tensor)
    return len(before) > 1 and len(_unpooled(before, pooled)) == 1


def _unpooled(tensors, pooled):
    return [
        tensor for tensor in tensors if not traversal.is_pooled(tensor, pooled)
    ]


def _is_pointwise(tensor):
    operation = tensor._keras_history.operation
    if isinstance(operation, layers.Dense):
        return len(tensor.shape) == 4
    return isinstance(operation, layers.Conv2D) and set(
        operation.kernel_size
    ) == {1}
