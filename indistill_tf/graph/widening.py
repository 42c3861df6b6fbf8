"""The auxiliary teacher: the student's own architecture, widened.

Where teacher and student differ too much in size or kind, the teacher first
teaches a network of the student's shape that pruning at rate q turns into the
student's widths (InDistill, sec. 3.3).
"""

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.graph import endpoints
from indistill_tf.graph import heads
from indistill_tf.graph import traversal
from indistill_tf.machine import check_memory


def widen(
    student: keras.Model, pruning_rate: float = 0.5, name: str = "auxiliary"
) -> keras.Model:
    """Builds a student widened by `1 / (1 - pruning_rate)`.

    Every convolution and dense layer is widened except the classifier, and
    what follows from their widths with them: depthwise convolutions,
    normalisations, gates. Attention gets more heads of the same size. Kernel
    sizes, strides and depth stay, so all maps keep their height and width.

    Args:
        student: functional `keras.Model` ending in a classifier.
        pruning_rate: float in [0, 1), q. Defaults to 0.5, which doubles the
            widths: CNN-S becomes CNN-A.
        name: string, the model's name. Defaults to `"auxiliary"`.

    Returns:
        A functional `keras.Model` with new weights.

    Raises:
        UserError: if the rate is out of range, gives no whole number of
            channels, or the student has no classifier or a layer whose width
            is fixed.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), sec. 3.3
    """
    if not 0 <= pruning_rate < 1:
        raise UserError(
            "`pruning_rate` must be in [0, 1). "
            f"Received: pruning_rate={pruning_rate}"
        )
    student = endpoints.flattened(student)
    # Layers grow with the square of the widths, in float32.
    check_memory(
        4 * student.count_params() / (1 - pruning_rate) ** 2,
        f"A network {1 / (1 - pruning_rate):,.0f} times as wide",
        f"Choose a smaller `pruning_rate`. Received: {pruning_rate}",
    )
    kept = _kept(student)

    def clone(layer):
        config = layer.get_config()
        if layer.name not in kept:
            _widen_sizes(config, pruning_rate, layer)
            if isinstance(layer, layers.Reshape):
                config["target_shape"] = _reshaped(layer, pruning_rate)
        return type(layer).from_config(config)

    try:
        widened = keras.models.clone_model(student, clone_function=clone)
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"Model {student.name!r} cannot be widened automatically: "
            f"{first_line(error)} Build the auxiliary teacher yourself."
        ) from error
    _copy_input_statistics(student, widened)
    return keras.Model(widened.inputs[0], widened.outputs[0], name=name)


def _kept(student):
    """Returns the names of the layers from the classifier to the output."""
    tensor = heads.output_of(student)
    classifier = endpoints.classifier(student)
    if classifier is None:
        raise UserError(
            f"Model {student.name!r} has no dense classifier, so it cannot be "
            "widened automatically. Build the auxiliary teacher yourself."
        )
    kept = {classifier.name}
    while (operation := traversal.operation(tensor)) is not classifier:
        kept.add(operation.name)
        tensor = traversal.inputs(tensor)[0]
    return kept


def _widen_sizes(config, pruning_rate, layer):
    """Widens the sizes in a layer's config, and of a layer that it wraps."""
    for size in {"filters", "units", "num_heads"} & config.keys():
        config[size] = _widened(config[size], pruning_rate, layer)
    if isinstance(config.get("layer"), dict):
        _widen_sizes(config["layer"]["config"], pruning_rate, layer)
        # Else it would be built at once, for the narrow input.
        config["layer"].pop("build_config", None)


def _reshaped(layer, pruning_rate):
    """Returns the target shape of a reshape, whose channels are widened."""
    *sizes, channels = layer.target_shape
    if not sizes:
        # All of a map in one row.
        return (-1,)
    # Of a gate [N, C] -> [N, 1, 1, C], or of a map to a sequence.
    if channels == layer._inbound_nodes[0].input_tensors[0].shape[-1]:
        channels = _widened(channels, pruning_rate, layer)
    return (*sizes, channels)


def _widened(size, pruning_rate, layer):
    widened = size / (1 - pruning_rate)
    if abs(widened - round(widened)) > 1e-6 * widened:
        raise UserError(
            f"Layer {layer.name!r} of width {size} cannot be widened by "
            f"1 / (1 - {pruning_rate:.4g}) = {1 / (1 - pruning_rate):.4g} to a "
            "whole number. Use a `pruning_rate` of 1/2, 3/4, or 1/3 with "
            "widths divisible by 2."
        )
    return round(widened)


def _copy_input_statistics(student, widened):
    """Copies the mean and variance by which a network scales its images."""
    for layer in student.layers:
        if isinstance(layer, layers.Normalization):
            widened.get_layer(layer.name).set_weights(layer.get_weights())
