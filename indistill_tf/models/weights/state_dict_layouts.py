"""How PyTorch lays out the weights of a layer.

One function a kind of layer lists its PyTorch tensors. A tensor may hold
several of our variables, as the projections of an attention layer do.
PyTorch flattens a map as channels, height, width and Keras as height, width,
channels, which changes the layers behind a flatten.
"""

from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.models.transformer import Positions
from indistill_tf.models.vit import ClassToken
from indistill_tf.models.weights import state_dict_token_layouts
from indistill_tf.models.weights.state_dict_tensor import Tensor

# Layers between a flatten and a dense layer that keep the order of units.
_UNITWISE = (
    layers.Activation,
    layers.BatchNormalization,
    layers.Dropout,
    layers.Identity,
    layers.LayerNormalization,
    layers.ReLU,
)


def tensors(layer):
    """Lists the PyTorch tensors of a layer.

    Args:
        layer: built `keras.layers.Layer` in a functional model.

    Returns:
        List of `Tensor`; `num_batches_tracked` is left out, since PyTorch
        does without it and nothing here counts batches.

    Raises:
        UserError: if this kind of layer has no known layout.
    """
    for kind, listing in _LAYOUTS.items():
        if isinstance(layer, kind):
            return listing(layer)
    known = ", ".join(kind.__name__ for kind in _LAYOUTS)
    raise UserError(
        f"Layer {layer.name!r} is a {type(layer).__name__}, whose weights have "
        f"no known PyTorch layout; known are {known}."
    )


def _convolution(layer):
    # torch: [outputs, inputs, height, width]
    return [
        Tensor(
            "weight",
            (layer.kernel,),
            lambda kernel: kernel.transpose(3, 2, 0, 1),
            lambda weight: weight.transpose(2, 3, 1, 0),
        ),
        *_bias(layer),
    ]


def _depthwise(layer):
    # torch: [inputs x multiplier, 1, height, width]
    height, width, inputs, multiplier = layer.kernel.shape

    def pack(kernel):
        return kernel.transpose(2, 3, 0, 1).reshape(-1, 1, height, width)

    def unpack(weight):
        weight = weight.reshape(inputs, multiplier, height, width)
        return weight.transpose(2, 3, 0, 1)

    return [Tensor("weight", (layer.kernel,), pack, unpack), *_bias(layer)]


def _dense(layer):
    # torch: [outputs, inputs]
    shape = _flattened(layer)
    return [
        Tensor(
            "weight",
            (layer.kernel,),
            lambda kernel: _channels_first(kernel, shape).T,
            lambda weight: _channels_last(weight.T, shape),
        ),
        *_bias(layer),
    ]


def _normalization(layer):
    variables = {
        "weight": layer.gamma if layer.scale else None,
        "bias": layer.beta if layer.center else None,
        "running_mean": layer.moving_mean,
        "running_var": layer.moving_variance,
    }
    return _vectors(layer, variables)


def _layer_normalization(layer):
    if len(layer.axis) > 1:
        raise UserError(
            f"Layer {layer.name!r} normalises over {len(layer.axis)} axes "
            "together, which has no known PyTorch layout. Normalise over the "
            "last axis."
        )
    return _vectors(layer, {"weight": layer.gamma, "bias": layer.beta})


def _vectors(layer, variables):
    shape = _flattened(layer)
    return [
        Tensor(
            suffix,
            (variable,),
            lambda vector: _channels_first(vector, shape),
            lambda vector: _channels_last(vector, shape),
        )
        for suffix, variable in variables.items()
        if variable is not None
    ]


def _bias(layer):
    return [Tensor("bias", (layer.bias,))] if layer.use_bias else []


def _flattened(layer):
    """Returns the shape `(H, W, C)` of the map that a layer reads flattened.

    None if it reads no flattened map.
    """
    while layer._inbound_nodes and layer._inbound_nodes[0].input_tensors:
        tensor = layer._inbound_nodes[0].input_tensors[0]
        if isinstance(layer, layers.Flatten):
            return tensor.shape[1:] if len(tensor.shape) == 4 else None
        layer = tensor._keras_history.operation
        if not isinstance(layer, (*_UNITWISE, layers.Flatten)):
            return None
    return None


def _channels_first(array, shape):
    """Reorders the first axis, a flattened map, from H, W, C to C, H, W."""
    if shape is None:
        return array
    maps = array.reshape(*shape, -1)
    return maps.transpose(2, 0, 1, 3).reshape(array.shape)


def _channels_last(array, shape):
    """Reorders the first axis, a flattened map, from C, H, W to H, W, C."""
    if shape is None:
        return array
    height, width, channels = shape
    maps = array.reshape(channels, height, width, -1)
    return maps.transpose(1, 2, 0, 3).reshape(array.shape)


_LAYOUTS = {
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _depthwise,
    layers.Dense: _dense,
    layers.BatchNormalization: _normalization,
    layers.LayerNormalization: _layer_normalization,
    layers.Embedding: state_dict_token_layouts.embedding,
    layers.MultiHeadAttention: state_dict_token_layouts.attention,
    ClassToken: state_dict_token_layouts.by_their_names,
    Positions: state_dict_token_layouts.by_their_names,
}
