"""Endpoints: where features are read from one model.

An endpoint is the output of a layer of a functional model. Nothing is hooked: a
view is a new `keras.Model` over the same layers that ends at the tensors read,
so whatever lies beyond the deepest one is not computed.
"""

import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.hints import Tensor

_CONVOLUTIONS = (
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)

_GLOBAL_POOLING = (
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
)

_TAP = re.compile(r"tap_\d+")

# They change a map's size and say nothing of its content.
_BORDERS = (layers.Cropping2D, layers.InputLayer, layers.ZeroPadding2D)


def endpoint(model: keras.Model, name: str) -> keras.KerasTensor:
    """Returns the symbolic output of a layer.

    Args:
        model: functional `keras.Model`.
        name: a layer's name. In a model without layers of these names,
            `"logits"` is the model's output, `"embedding"` the input of its
            classifier `[N, D]`, `"unpooled"` the map whose global average
            the embedding is, or the embedding itself where it is none, and
            `"guides"` the logits of a teacher without assistants, see
            `indistill_tf.with_assistants`.

    Returns:
        A `KerasTensor`, for feature maps `[N, H, W, C]`.

    Raises:
        UserError: if there is no such endpoint; the message lists what
            exists.
    """
    names = [layer.name for layer in model.layers]
    for layer in model.layers:
        # An information bottleneck, for the embedding that it was given.
        if getattr(layer, "stands_for", None) == name:
            return outputs(model)[layer.name]
    # Where the classifier is a convolution, a layer "logits" is still a map.
    is_map = name in names and _is_map(outputs(model)[name])
    if name == "logits" and (is_map or name not in names):
        return _logits(model)
    if name in names:
        return outputs(model)[name]
    if name == "embedding" and _class_scores(model) is not None:
        return _embedding(model)
    if name == "guides":
        return endpoint(model, "logits")
    if name == "unpooled":
        return _unpooled(endpoint(model, "embedding"))
    maps = feature_maps(model)
    raise UserError(
        f"Model {model.name!r} has no layer {name!r}. Its feature maps are: "
        f"{', '.join(maps) or 'none'}. All its layers: {', '.join(names)}."
    )


def feature_maps(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns the layers whose feature maps are worth matching, in order.

    These are the layers named `tap_<i>`; in a model without such names, the
    last layer at each spatial resolution. Padded maps do not count, nor what
    a global pooling has left (the gates of squeeze-and-excitation), nor what
    comes before the first convolution.

    Args:
        model: functional `keras.Model`.

    Returns:
        Dict from a layer's name to its symbolic output `[N, H, W, C]`, shallow
        to deep.
    """
    maps = all_maps(model)
    if has_named_taps(maps):
        return maps
    last = {}
    for name, tensor in maps.items():
        size = tuple(tensor.shape[1:3])
        last.pop(size, None)
        last[size] = name
    return {name: maps[name] for name in last.values()}


def all_maps(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns the maps of which `feature_maps` takes the last of each size.

    Args:
        model: functional `keras.Model`.

    Returns:
        Dict from a layer's name to its symbolic output `[N, H, W, C]`, shallow
        to deep; in a model with layers named `tap_<i>` these alone.
    """
    tensors = outputs(model)
    maps = {
        layer.name: tensors[layer.name]
        for layer in model.layers
        if not isinstance(layer, _BORDERS) and _is_map(tensors[layer.name])
    }
    named = [name for name in maps if _TAP.fullmatch(name)]
    if named:
        named.sort(key=lambda name: int(name[4:]))
        return {name: maps[name] for name in named}
    pooled, depths = {}, {}
    return {
        name: tensor
        for name, tensor in maps.items()
        if not is_pooled(tensor, pooled) and depth(tensor, depths)
    }


def has_named_taps(maps: Iterable[str]) -> bool:
    """Returns whether a model's builder has named the maps worth matching.

    Args:
        maps: names of layers, see `all_maps`.
    """
    return any(_TAP.fullmatch(name) for name in maps)


def classifier(model: keras.Model) -> layers.Layer | None:
    """Returns the layer that makes a model's logits, or None.

    It is the dense layer that the output follows from, or the convolution of
    a pooled map of 1 x 1 pixel.

    Args:
        model: functional `keras.Model`.
    """
    tensor = _class_scores(model)
    return None if tensor is None else tensor._keras_history.operation


def view(model: keras.Model, outputs: dict[str, Tensor]) -> keras.Model:
    """Returns the part of a model that computes these endpoints.

    Args:
        model: functional `keras.Model`.
        outputs: dict of symbolic tensors of the model, by name; the view
            returns the computed tensors under the same names.
    """
    # Not `model.input`: a Sequential has none, or another, once called.
    return keras.Model(model.inputs[0], outputs)


def named_view(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Returns the part of a model that computes the endpoints of these names.

    Args:
        model: functional `keras.Model`, which may hold others as layers.
        names: strings, see `endpoint`.

    Raises:
        UserError: if there is no such endpoint.
    """
    # The classifier may stand in a model inside.
    model = flattened(model)
    return view(model, {name: endpoint(model, name) for name in names})


def flattened(model: keras.Model) -> keras.Model:
    """Returns a model without models inside, so that all layers can be tapped.

    Args:
        model: functional `keras.Model`, which may hold others as layers, as a
            `Sequential` of a `keras.applications` network and a head does.

    Returns:
        A functional model over the same layers and weights; the given model
        itself where nothing is nested. Models whose `call` is their own
        stay layers.

    Raises:
        UserError: if layers of two models have one name.
    """
    if not _nests(model):
        return model
    try:
        return _flattened(_with_one_input(model))
    except ValueError as error:
        raise UserError(
            f"Model {model.name!r} and the models in it make no single one: "
            f"{first_line(error)} Build them with other names."
        ) from error


def ends_in_softmax(model: keras.Model) -> bool:
    """Returns whether a model's output is probabilities, not logits.

    Args:
        model: functional `keras.Model`.
    """
    operation = model.outputs[0]._keras_history.operation
    activation = getattr(operation, "activation", None)
    return (
        isinstance(operation, layers.Softmax)
        or activation is keras.activations.softmax
    )


def outputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns the symbolic output of each layer of a model, by name.

    Of a layer that the model calls several times it is the first call's.

    Args:
        model: functional `keras.Model`.
    """
    # Not `layer.output`: that fails once the layer was called a second time,
    # for example by a model that wraps this one.
    by_name = {}
    for tensor in _graph(model.outputs):
        by_name.setdefault(tensor._keras_history.operation.name, tensor)
    return by_name


def tensors(model: keras.Model) -> Iterator[keras.KerasTensor]:
    """Yields all symbolic tensors of a model, each behind what it reads.

    Args:
        model: functional `keras.Model`.
    """
    yield from _graph(model.outputs)


def inputs(tensor: Tensor) -> list[keras.KerasTensor]:
    """Returns the tensors that a symbolic tensor was computed from.

    Args:
        tensor: `KerasTensor` of a functional model.
    """
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index].input_tensors


def is_pooled(tensor: Tensor, known: dict | None = None) -> bool:
    """Returns whether a tensor holds only what a global pooling has left.

    Args:
        tensor: `KerasTensor` of a functional model.
        known: dict that keeps the answers for one model from call to call.
            Defaults to None.
    """
    known = {} if known is None else known
    for item in _graph([tensor], known):
        before = [known[id(other)] for other in inputs(item)]
        operation = item._keras_history.operation
        known[id(item)] = isinstance(operation, _GLOBAL_POOLING) or (
            len(before) > 0 and all(before)
        )
    return known[id(tensor)]


def depth(tensor: Tensor, known: dict | None = None) -> int:
    """Counts the convolutions on the longest path from the model's input.

    Args:
        tensor: `KerasTensor` of a functional model.
        known: dict that keeps the counts of one model from call to call.
            Defaults to None.
    """
    known = {} if known is None else known
    for item in _graph([tensor], known):
        before = max((known[id(other)] for other in inputs(item)), default=0)
        operation = item._keras_history.operation
        known[id(item)] = before + isinstance(operation, _CONVOLUTIONS)
    return known[id(tensor)]


def _graph(tensors, known=()):
    """Yields the tensors that these follow from and these, in order.

    Those whose `id` is in `known` and what they follow from are left out.
    """
    # A list, not recursion: networks may be deeper than Python's stack.
    pending, seen = list(reversed(tensors)), set(known)
    while pending:
        tensor = pending[-1]
        missing = [item for item in inputs(tensor) if id(item) not in seen]
        if missing:
            pending += reversed(missing)
            continue
        pending.pop()
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield tensor


def _is_nested(layer):
    # A subclass with a `call` of its own has no inputs; its Python stays.
    return isinstance(layer, keras.Model) and bool(
        getattr(layer, "inputs", None)
    )


def _nests(model):
    return any(_is_nested(layer) for layer in model.layers)


def _with_one_input(model):
    # A list of one tensor, or a Sequential, becomes a bare tensor.
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def _flattened(model):
    if not _nests(model):
        return model
    if isinstance(model, keras.Sequential):
        model = _with_one_input(model)

    def call(layer, *args, **kwargs):
        # `call` runs a nested model's layers one by one on symbolic tensors.
        if _is_nested(layer):
            return _flattened(layer).call(*args, **kwargs)
        return layer(*args, **kwargs)

    return keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )


def _is_map(tensor):
    return len(tensor.shape) == 4


def _class_scores(model):
    """Returns what the classifier computes, or None."""
    tensor = model.outputs[0]
    while True:
        operation = tensor._keras_history.operation
        if isinstance(operation, layers.Dense) and len(tensor.shape) == 2:
            return tensor
        if isinstance(operation, layers.Conv2D):
            return tensor if tuple(tensor.shape[1:3]) == (1, 1) else None
        before = inputs(tensor)
        if isinstance(operation, _GLOBAL_POOLING) or len(before) != 1:
            return None
        tensor = before[0]


def _embedding(model):
    tensor = inputs(_class_scores(model))[0]
    if _is_map(tensor):
        return layers.Flatten()(tensor)
    return tensor


def _unpooled(embedding):
    if isinstance(embedding._keras_history.operation, _GLOBAL_POOLING[0]):
        return inputs(embedding)[0]
    return embedding


def _logits(model):
    if ends_in_softmax(model):
        raise UserError(
            f"Model {model.name!r} ends in a softmax, so it has no logits to "
            "distil. Build it with a last layer without activation "
            "(keras.applications: `classifier_activation=None`)."
        )
    return model.outputs[0]
