"""A loss of `keras.distillation` as a loss of this library."""

from typing import Any
from typing import Self

import keras

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.for_keras_distiller import ForKerasDistiller


@keras.saving.register_keras_serializable(package="indistill_tf")
class KerasDistillation(DistillationLoss):
    """A loss of `keras.distillation`, computed as it is.

    It compares the layers that it names; a name of None stands for the logits.

    With a string for its loss, its default included, Keras 3.15's
    `LogitsDistillation` leaves out the softmax and compares scaled logits as
    if they were probabilities. Give it `keras.losses.KLDivergence()`: that is
    `SoftenedKL`.

    Args:
        loss: instance of `keras.distillation.DistillationLoss`, of one output.
            To be saved it needs a `get_config`.
        relational: bool, whether the loss compares samples with each other,
            so that replicas must give it the whole batch. Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the output of the teacher's layer.
        student: the output of the student's layer.

    Raises:
        UserError: if `loss` is something else or does not fit the outputs.

    Example:

    ```python
    loss = indistill_tf.losses.KerasDistillation(
        keras.distillation.FeatureDistillation("mse", "conv5_out", "tap_3")
    )
    ```
    """

    def __init__(
        self,
        loss: keras.distillation.DistillationLoss,
        relational: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(loss, keras.distillation.DistillationLoss):
            raise UserError(
                "`loss` must be an instance of "
                f"keras.distillation.DistillationLoss. Received: {loss!r}."
            )
        if isinstance(loss, ForKerasDistiller):
            raise UserError(
                "A ForKerasDistiller is for keras.distillation.Distiller "
                "alone. Give the loss that it holds, its attribute `loss`."
            )
        self.loss = loss
        self.relational = relational
        # Its softmax is part of it.
        self.needs_classes = isinstance(
            loss, keras.distillation.LogitsDistillation
        )
        teacher, student = (
            getattr(loss, f"{role}_layer_name", None) or "logits"
            for role in ("teacher", "student")
        )
        self.endpoint = teacher if teacher == student else (teacher, student)

    def build(self, teacher_shape: tuple, student_shape: tuple) -> None:
        outputs = map(keras.KerasTensor, (teacher_shape, student_shape))
        try:
            self.loss.validate_outputs(*outputs)
        # Keras 3.15 has a defect where it words one of its ValueErrors.
        except (AttributeError, ValueError) as error:
            raise UserError(
                f"{type(self.loss).__name__} does not fit the teacher's output "
                f"{tuple(teacher_shape)} and the student's "
                f"{tuple(student_shape)}: {first_line(error)}. Give it layers "
                "that fit, and one loss for the one output of each network."
            ) from error

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return self.loss.compute_loss(teacher, student)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "relational": self.relational,
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})
