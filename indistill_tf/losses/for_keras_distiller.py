"""A loss of this library in the stock distiller of Keras."""

from typing import Any
from typing import Self

import keras

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.graph import endpoints
from indistill_tf.graph import heads
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss


@keras.saving.register_keras_serializable(package="indistill_tf")
class ForKerasDistiller(
    keras.layers.Layer, keras.distillation.DistillationLoss
):
    """A loss of this library for the stock `keras.distillation.Distiller`.

    It is a layer as well, so that the stock distiller tracks it: adapters and
    heads of the loss train with the student and are saved with the distiller.
    A plain Python object's would silently stay as they were made.

    What the stock distiller (Keras 3.15) does otherwise than
    `indistill_tf.Distiller`: where a loss names layers it runs the student
    twice in a step, and once of them in training mode in `evaluate` too, which
    moves the student's batch statistics. Under several replicas a loss sees
    the samples of its own replica alone.

    Args:
        loss: `DistillationLoss` of this library that compares one output of
            each network.
        teacher_layer_name: name of the teacher's layer. Defaults to None: the
            endpoint of the loss, found when the distiller is made.
        student_layer_name: name of the student's layer. Defaults to None, as
            above.
        name: string, the layer's name.
        **kwargs: further arguments of `keras.layers.Layer`.

    Attributes:
        loss: the loss.
        teacher_layer_name: string, or None for the network's output.
        student_layer_name: string, or None for the network's output.

    Raises:
        UserError: if `loss` is something else, or needs more than the two
            outputs of a batch: sample ids, or a preparation.

    Example:

    ```python
    loss = indistill_tf.losses.ProbabilisticJeffreys()
    distiller = keras.distillation.Distiller(
        teacher=teacher,
        student=student,
        distillation_losses=[indistill_tf.losses.ForKerasDistiller(loss)],
    )
    ```
    """

    def __init__(
        self,
        loss: DistillationLoss,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        _check_loss(loss)
        self.loss = loss
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name
        self._given_names = (teacher_layer_name, student_layer_name)

    def validate_model_compatibility(
        self, teacher: keras.Model, student: keras.Model
    ) -> None:
        """Finds the layers to compare and builds the loss on them.

        The stock distiller calls it before it reads the layers' names.

        Args:
            teacher: functional `keras.Model`; if the loss compares logits, any
                `keras.Model`.
            student: the same.

        Raises:
            UserError: if a layer has to be named, does not exist or cannot be
                read, or if the loss does not fit the outputs.
        """
        names = self._endpoints()
        models = (teacher, student)
        if all(getattr(model, "inputs", None) for model in models):
            self.loss.check_heads(heads.Heads(*models))
            outputs = [*map(endpoints.endpoint, models, names)]
            self.teacher_layer_name, self.student_layer_name = _layer_names(
                models, outputs
            )
            self._build_loss(outputs)
        elif names != ("logits", "logits"):
            raise UserError(
                f"{_label(self.loss)} compares the layers {names}, which only "
                "functional and Sequential models give. Received: "
                f"{teacher!r} and {student!r}."
            )
        # Without a `call` of its own Keras would take it for unbuilt.
        self.built = True

    def compute_loss(
        self, teacher_outputs: Tensor, student_outputs: Tensor, **kwargs: Any
    ) -> Tensor:
        """Returns the loss, a scalar.

        Args:
            teacher_outputs: the output of the teacher's layer.
            student_outputs: the output of the student's layer.
            **kwargs: ignored.
        """
        return self.loss(teacher_outputs, student_outputs)

    def get_config(self) -> dict:
        teacher_layer_name, student_layer_name = self._given_names
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "teacher_layer_name": teacher_layer_name,
            "student_layer_name": student_layer_name,
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})

    def _endpoints(self):
        endpoint = self.loss.endpoint
        pair = (endpoint, endpoint) if isinstance(endpoint, str) else endpoint
        names = tuple(
            given or name for given, name in zip(self._given_names, pair)
        )
        if "tap" in names:
            raise UserError(
                f"{_label(self.loss)} compares intermediate layers. Received: "
                f"teacher_layer_name={self._given_names[0]}, "
                f"student_layer_name={self._given_names[1]}. Give both."
            )
        return names

    def _build_loss(self, outputs):
        try:
            # Before the optimizer is made, so that it owns the adapters.
            self.loss(*outputs)
        except UserError:
            raise
        except (TypeError, ValueError) as error:
            shapes = [tuple(output.shape) for output in outputs]
            raise UserError(
                f"{_label(self.loss)} cannot be built on the teacher's output "
                f"{shapes[0]} and the student's {shapes[1]}: "
                f"{first_line(error)}. Name layers that fit; a loss of several "
                "maps of each network needs indistill_tf.Distiller."
            ) from error


def _check_loss(loss):
    if not isinstance(loss, DistillationLoss):
        raise UserError(
            "`loss` must be an instance of a loss of indistill_tf.losses. "
            f"Received: {loss!r}. The stock distiller takes losses of "
            "keras.distillation as they are."
        )
    prepared = type(loss).prepare is not DistillationLoss.prepare
    if loss.needs or prepared:
        reason = "a preparation" if prepared else " and ".join(loss.needs)
        raise UserError(
            f"{_label(loss)} needs {reason}, which keras.distillation."
            "Distiller does not give it. Use indistill_tf.Distiller."
        )


def _layer_names(models, outputs):
    finals = [model.outputs[0] for model in models]
    if all(output is final for output, final in zip(outputs, finals)):
        return None, None
    # Both or none: where the teacher's name is missing the stock distiller
    # ignores the student's.
    return tuple(map(_layer_name, models, outputs))


def _layer_name(model, output):
    layer = output._keras_history.operation
    if layer in model.layers and layer.output is output:
        return layer.name
    kind = heads.decide(model).kind
    if layer not in model.layers and kind != heads.LOGITS:
        raise UserError(
            f"Model {model.name!r} ends in a {kind}, before which the stock "
            "distiller cannot read its logits. Build it with a last layer "
            "without activation (keras.applications: "
            "`classifier_activation=None`), or use indistill_tf.Distiller."
        )
    raise UserError(
        f"In model {model.name!r} the output of {layer.name!r} is not the "
        "only output of a layer of the model itself, so the stock distiller "
        "cannot read it. Name a layer after it, or put a "
        "keras.layers.Identity there."
    )


def _label(loss):
    return type(loss).__name__
