"""What a model's variables are called, and which models are alike."""

from indistill_tf.errors import UserError


def variables_by_name(model):
    """Returns a model's weights by `<layer>.<variable>`.

    Args:
        model: built `keras.Model`.

    Returns:
        Dict from names such as `conv1.kernel`, in a layer of layers
        `attention.query.kernel`, to `keras.Variable`.

    Raises:
        UserError: if two variables have the same name.
    """
    named = {}
    for layer in model.layers:
        for variable in layer.weights:
            name = _name(layer, variable)
            if name in named:
                raise UserError(
                    f"Model {model.name!r} has two variables {name}. Give its "
                    "layers different names."
                )
            named[name] = variable
    return named


def same_layers(model, other):
    """Returns whether two models have the same layers connected alike.

    The layers' names may differ. If so, the weights of one fit the other in
    their order.

    Args:
        model: built `keras.Model`.
        other: built `keras.Model`.
    """
    return _structure(model) == _structure(other)


def _name(layer, variable):
    # The path begins with the layer in a functional model, with the model in
    # a sequential one, and below the layer in a model used as a layer.
    parts = variable.path.split("/")
    if layer.name in parts:
        return ".".join(parts[parts.index(layer.name) :])
    return ".".join([layer.name, *parts])


def _structure(model):
    position = {id(layer): index for index, layer in enumerate(model.layers)}
    return [
        (
            type(layer).__name__,
            [(variable.name, variable.shape) for variable in layer.weights],
            [position.get(id(parent)) for parent in _parents(layer)],
        )
        for layer in model.layers
    ]


def _parents(layer):
    if not layer._inbound_nodes:
        return []
    tensors = layer._inbound_nodes[0].input_tensors
    return [tensor._keras_history.operation for tensor in tensors]
