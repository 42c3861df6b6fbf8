"""The auxiliary teacher: the student's own architecture, widened.

Where teacher and student differ too much in size or kind, the teacher first
teaches a network of the student's shape that pruning at rate q turns into the
student's widths (InDistill, sec. 3.3).
"""

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.taps import endpoint


def widen(student, pruning_rate=0.5, name="auxiliary"):
    """Builds a student widened by `1 / (1 - pruning_rate)`.

    Every convolution and dense layer is widened except the classifier, and
    attention gets more heads of the same size; kernel sizes, strides and depth
    stay, so all maps keep their height and width.

    Args:
        student: functional `keras.Model` ending in a dense classifier.
        pruning_rate: float in [0, 1), q. Defaults to 0.5, which doubles the
            widths: CNN-S becomes CNN-A.
        name: string, the model's name. Defaults to `"auxiliary"`.

    Returns:
        A functional `keras.Model` with new weights.

    Raises:
        UserError: if the rate is out of range, gives no whole number of
            channels, or the student has no dense classifier.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), sec. 3.3
    """
    if not 0 <= pruning_rate < 1:
        raise UserError(
            f"`pruning_rate` must be in [0, 1). Received: {pruning_rate}"
        )
    classifier = _classifier(student)

    def clone(layer):
        config = layer.get_config()
        for size in ("filters", "units", "num_heads"):
            if size in config and layer is not classifier:
                config[size] = _widened(config[size], pruning_rate, layer)
        return type(layer).from_config(config)

    widened = keras.models.clone_model(student, clone_function=clone)
    return keras.Model(widened.input, widened.output, name=name)


def _classifier(student):
    endpoint(student, "logits")
    for layer in reversed(student.layers):
        if isinstance(layer, layers.Dense):
            return layer
    raise UserError(
        f"Model {student.name!r} has no dense classifier, so it cannot be "
        "widened automatically. Build the auxiliary teacher yourself."
    )


def _widened(size, pruning_rate, layer):
    widened = size / (1 - pruning_rate)
    if abs(widened - round(widened)) > 1e-6 * widened:
        raise UserError(
            f"Layer {layer.name!r} of width {size} cannot be widened by "
            f"1 / (1 - {pruning_rate:.4g}) = {1 / (1 - pruning_rate):.4g} to a "
            "whole number. Use 1/2, 3/4, or 1/3 with widths divisible by 2."
        )
    return round(widened)
