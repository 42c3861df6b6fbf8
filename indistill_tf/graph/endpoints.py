"""Endpoints: where features are read from one model.

An endpoint is the output of a layer of a functional model. Nothing is hooked: a
view is a new `keras.Model` over the same layers that ends at the tensors read,
so whatever lies beyond the deepest one is not computed.
"""

import re
from collections.abc import Iterable
from collections.abc import Sequence

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.graph import heads
from indistill_tf.graph.traversal import GLOBAL_POOLING
from indistill_tf.graph.traversal import depth
from indistill_tf.graph.traversal import inputs
from indistill_tf.graph.traversal import is_pooled
from indistill_tf.graph.traversal import operation
from indistill_tf.graph.traversal import outputs
from indistill_tf.hints import Tensor

_TAP = re.compile(r"tap_\d+")

# They change a map's size and say nothing of its content.
_BORDERS = (layers.Cropping2D, layers.InputLayer, layers.ZeroPadding2D)


def endpoint(model: keras.Model, name: str) -> keras.KerasTensor:
    """Returns the symbolic output of a layer.

    Args:
        model: functional `keras.Model`.
        name: a layer's name. In a model without layers of these names,
            `"logits"` is the model's output before its softmax or sigmoid,
            `"embedding"` the input of its classifier `[N, D]`, `"unpooled"`
            the map whose global average the embedding is, or the embedding
            itself where it is none, and `"guides"` the logits of a teacher
            without assistants, see `indistill_tf.with_assistants`.

    Returns:
        A `KerasTensor`, for feature maps `[N, H, W, C]`.

    Raises:
        UserError: if there is no such endpoint; the message lists what
            exists. If a map is asked for whose channels come first.
    """
    tensor = _endpoint(model, name)
    if _is_map(tensor):
        _check_channels(model)
    return tensor


def _endpoint(model, name):
    names = [layer.name for layer in model.layers]
    for layer in model.layers:
        # An information bottleneck, for the embedding that it was given.
        if getattr(layer, "stands_for", None) == name:
            return outputs(model)[layer.name]
    if name == "logits":
        return heads.decide(model).logits
    if name in names:
        return outputs(model)[name]
    if name == "embedding" and _class_scores(model) is not None:
        return _embedding(model)
    if name == "guides":
        return _endpoint(model, "logits")
    if name == "unpooled":
        return _unpooled(_endpoint(model, "embedding"))
    if _nests(model):
        # Then this says why the layers inside are out of sight.
        flattened(model)
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

    Raises:
        UserError: if there are maps whose channels come first.
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
    if maps:
        _check_channels(model)
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
    return None if tensor is None else operation(tensor)


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


def _is_nested(layer):
    # A subclass with a `call` of its own has no inputs; its Python stays.
    return isinstance(layer, keras.Model) and bool(
        getattr(layer, "inputs", None)
    )


def _nests(model):
    return any(_is_nested(layer) for layer in model.layers)


def _with_one_input(model):
    # A list of one tensor, or a Sequential, becomes a bare tensor.
    outputs = model.output if len(model.outputs) > 1 else model.outputs[0]
    return keras.Model(model.inputs[0], outputs, name=model.name)


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


def _check_channels(model):
    """Checks that maps are `[N, H, W, C]`, as all that reads them takes it."""
    formats = {
        layer.name: getattr(layer, "data_format", None)
        for layer in model.layers
    }
    formats["keras.config.image_data_format()"] = (
        keras.config.image_data_format()
    )
    for name, data_format in formats.items():
        if data_format == "channels_first":
            raise UserError(
                f"The maps of model {model.name!r} are read as (H, W, C), but "
                f"{name} says 'channels_first'. Build the networks with "
                "'channels_last', or choose a method that compares their "
                "outputs alone, such as 'okd'."
            )


def _class_scores(model):
    """Returns what the classifier computes, or None."""
    tensor = heads.output_of(model)
    while True:
        layer = operation(tensor)
        if isinstance(layer, layers.Dense) and len(tensor.shape) == 2:
            return tensor
        if isinstance(layer, layers.Conv2D):
            return tensor if tuple(tensor.shape[1:3]) == (1, 1) else None
        before = inputs(tensor)
        if isinstance(layer, GLOBAL_POOLING) or len(before) != 1:
            return None
        tensor = before[0]


def _embedding(model):
    tensor = inputs(_class_scores(model))[0]
    if _is_map(tensor):
        return layers.Flatten()(tensor)
    return tensor


def _unpooled(embedding):
    if isinstance(operation(embedding), GLOBAL_POOLING[0]):
        return inputs(embedding)[0]
    return embedding
