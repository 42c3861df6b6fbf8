"""What every distillation loss has in common."""

import keras


class DistillationLoss(keras.layers.Layer):
    """Base of the distillation losses: a layer called on (teacher, student).

    A loss is a `keras.layers.Layer`, so that whatever it trains (adapters,
    projection heads, memory banks) is tracked, saved with the run and left
    behind at export. Subclasses implement `call(teacher, student)` and return
    a scalar; they compute in float32 whatever the precision of the networks.

    Args:
        name: string, the layer's name.
        dtype: the dtype of computation. Defaults to `"float32"`.
        **kwargs: further arguments of `keras.layers.Layer`.

    Attributes:
        endpoint: what the loss compares when a method uses it as its task:
            `"logits"` or `"embedding"`; `"tap"` for intermediate layers.
        relational: bool, whether the loss compares samples with each other.
            With several replicas the `Distiller` then gives every replica the
            features of the whole batch.
    """

    endpoint = "tap"
    relational = False

    def __init__(self, name=None, dtype="float32", **kwargs):
        super().__init__(name=name, dtype=dtype, **kwargs)

    def compute_output_shape(self, *shapes):
        return ()


class LogitsLoss(DistillationLoss):
    """Base of the losses that compare softened class probabilities.

    Args:
        temperature: float above 0.
        **kwargs: `name` and `dtype` of the layer.

    Raises:
        ValueError: if `temperature` is not positive.
    """

    endpoint = "logits"

    def __init__(self, temperature, **kwargs):
        super().__init__(**kwargs)
        if temperature <= 0:
            raise ValueError(
                "`temperature` must be above 0. "
                f"Received: temperature={temperature}"
            )
        self.temperature = temperature

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}
