"""What a model's output is: read in its graph, or else in its values."""

import keras
import numpy as np
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.graph.traversal import inputs
from indistill_tf.graph.traversal import operation
from indistill_tf.graph.traversal import walk
from indistill_tf.hints import Tensor

SOFTMAX, SIGMOID, LOGITS = KINDS = ("softmax", "sigmoid", "logits")

# They hand on what they are given, in inference.
_PASSING_LAYERS = (
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.Flatten,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.Reshape,
    layers.SpatialDropout2D,
)
_PASSING_OPERATIONS = ("Cast", "Reshape", "Squeeze", "StopGradient")
# The mean of probabilities is one again.
_AVERAGES = (
    layers.Average,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
)
# Activations of Keras that make what lies in 0..1, but have no logits.
_UNREADABLE_ACTIVATIONS = ("hard_sigmoid", "sparse_sigmoid", "sparsemax")
_UNREADABLE_LAYERS = (layers.Lambda, layers.TFSMLayer, layers.Wrapper)

_PROBES = 8
_UNKNOWN_SIZE = 64
_SMALLEST = {SOFTMAX: 1.2e-38, SIGMOID: 1e-7}


def kind_in_graph(tensor: Tensor) -> str | None:
    """Returns which of `KINDS` a symbolic tensor is, as far as its graph says.

    Args:
        tensor: `KerasTensor` of a functional model.

    Returns:
        String, or None behind a layer of one's own, a `Lambda` and arithmetic,
        of which the graph says nothing.
    """
    known = {}
    for item in walk([tensor]):
        known[id(item)] = _kind(item, [known[id(x)] for x in inputs(item)])
    return known[id(tensor)]


def kind_in_values(model: keras.Model) -> str | None:
    """Returns which of `KINDS` a model's output is, as its values say.

    Args:
        model: functional `keras.Model` of one input and one output.

    Returns:
        String: `"softmax"` where all lie in 0..1 and each row adds up to 1,
        `"logits"` where some lie outside of 0..1. None where all lie inside
        and rows add up to something else.

    Raises:
        UserError: if the model cannot be asked.
    """
    values, tolerance = _probed(model)
    if not np.isfinite(values).all() or (values < 0).any():
        return LOGITS
    # Those of a new network whose last weights are zeros say nothing.
    if (values > 1).any() or not values.any():
        return LOGITS
    if (abs(values.sum(axis=-1) - 1) < tolerance).all():
        return SOFTMAX
    return None


def logits_behind(tensor: Tensor, kind: str) -> Tensor:
    """Returns the logits that an output was made from.

    Where the graph shows what was given to the softmax or the sigmoid, it is
    that. Else it is what the probabilities say: their logarithms, of sigmoids
    the log-odds. A softmax's logits are known up to a constant of each sample.

    Args:
        tensor: `KerasTensor`, the output.
        kind: string of `KINDS`, what it is.

    Returns:
        `KerasTensor` of the same shape.
    """
    if kind == LOGITS:
        return tensor
    made = tensor
    while _passes(made):
        made = inputs(made)[0]
    layer = operation(made)
    logits = None
    if _explicit(made) == kind:
        logits = inputs(made)[0]
    elif _is_of_keras(layer) and _activation(layer) == kind:
        logits = WithoutActivation(layer)(inputs(made)[0])
    if logits is None:
        return _from_probabilities(tensor, kind)
    if len(logits.shape) != len(tensor.shape):
        logits = layers.Reshape(tensor.shape[1:])(logits)
    return logits


@keras.saving.register_keras_serializable(package="indistill_tf")
class WithoutActivation(layers.Layer):
    """A dense layer or a convolution over the same weights, up to its end.

    Args:
        layer: built layer with an `activation`.
        **kwargs: `name` and `dtype` of this layer.

    Call arguments:
        features: what the layer reads.
    """

    def __init__(self, layer: layers.Layer, **kwargs):
        super().__init__(**{"dtype": layer.dtype_policy, **kwargs})
        self.layer = layer
        self.built = True

    def call(self, features):
        activation = self.layer.activation
        # Quantised layers and those with LoRA compute their own way.
        self.layer.activation = keras.activations.linear
        try:
            return self.layer.call(features)
        finally:
            self.layer.activation = activation

    def compute_output_shape(self, shape):
        return self.layer.compute_output_shape(shape)

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


def _kind(tensor, before):
    layer = operation(tensor)
    if isinstance(layer, keras.Model):
        return _kind_of_model(layer, tensor)
    if isinstance(layer, layers.InputLayer):
        return LOGITS
    if kind := _explicit(tensor):
        return kind
    same = before[0] if len(set(before)) == 1 else None
    if _passes(tensor) or isinstance(layer, _AVERAGES):
        return same
    if not _is_of_keras(layer):
        return None
    if (kind := _activation(layer)) or not hasattr(layer, "activation"):
        # What weighs its inputs, or is none of a probability.
        return kind or (LOGITS if layer.weights or same == LOGITS else None)
    return None


def _kind_of_model(model, tensor):
    if not getattr(model, "inputs", None):
        return None
    return kind_in_graph(model.outputs[tensor._keras_history.tensor_index])


def _explicit(tensor):
    """Returns the kind that an operation of its own makes, or None."""
    layer = operation(tensor)
    if isinstance(layer, layers.Activation):
        kind = _activation(layer)
        return kind if kind != LOGITS else None
    if not _is_of_keras(layer) and not _is_operation(layer):
        return None
    if type(layer).__name__ == "Softmax":
        last = len(tensor.shape) - 1
        return SOFTMAX if layer.axis in (-1, last, [-1], [last]) else None
    return SIGMOID if type(layer).__name__ == "Sigmoid" else None


def _activation(layer):
    """Returns the kind that a layer's own activation makes, or None."""
    activation = getattr(layer, "activation", None)
    if isinstance(activation, layers.Softmax):
        return SOFTMAX
    module = getattr(activation, "__module__", None) or ""
    name = getattr(activation, "__name__", "")
    if not module.startswith("keras.") or name in _UNREADABLE_ACTIVATIONS:
        return None
    if name in (SOFTMAX, SIGMOID):
        return name
    # Keras' other operations may be anything.
    return LOGITS if module.startswith("keras.src.activations") else None


def _passes(tensor):
    """Returns whether a tensor is its input, but for shape and dtype."""
    layer, before = operation(tensor), inputs(tensor)
    if len(before) != 1 or before[0].shape[-1] != tensor.shape[-1]:
        return False
    if isinstance(layer, layers.Activation):
        return layer.activation is keras.activations.linear
    if isinstance(layer, _PASSING_LAYERS) and _is_of_keras(layer):
        return True
    return _is_operation(layer) and type(layer).__name__ in _PASSING_OPERATIONS


def _is_of_keras(layer):
    """Returns whether a layer is Keras' own, and no function in disguise."""
    return (
        isinstance(layer, layers.Layer)
        and type(layer).__module__.startswith("keras.")
        and not isinstance(layer, _UNREADABLE_LAYERS)
    )


def _is_operation(layer):
    own = type(layer).__module__.startswith("keras.")
    return own and not isinstance(layer, layers.Layer)


def _from_probabilities(tensor, kind):
    smallest = _SMALLEST[kind]
    probabilities = ops.cast(tensor, "float32")
    if kind == SOFTMAX:
        return ops.log(ops.maximum(probabilities, smallest))
    probabilities = ops.clip(probabilities, smallest, 1 - smallest)
    return ops.log(probabilities) - ops.log1p(-probabilities)


def _probed(model):
    """Returns a model's values of a few random images, and their precision."""
    image = model.inputs[0]
    shape = [size or _UNKNOWN_SIZE for size in image.shape[1:]]
    random = np.random.default_rng(0)
    # Images as they come normalised, and pixels of 0..1.
    images = np.concatenate(
        [
            random.normal(size=(_PROBES // 2, *shape)),
            random.uniform(size=(_PROBES // 2, *shape)),
        ]
    )
    try:
        (output,) = keras.tree.flatten(
            model(ops.cast(images, image.dtype), training=False)
        )
        values = ops.convert_to_numpy(ops.cast(output, "float32"))
    except Exception as error:
        raise UserError(
            f"What the output of model {model.name!r} is cannot be found out: "
            f"it fails on random images ({first_line(error)}). Say what it is, "
            '`head="softmax"`, "sigmoid" or "logits".'
        ) from error
    half = keras.backend.standardize_dtype(output.dtype) != "float32"
    return values, 2e-2 if half else 1e-4
