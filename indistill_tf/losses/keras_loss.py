"""A loss of Keras or of the user's own: the teacher's output is the target."""

from collections.abc import Callable
from typing import Any
from typing import Self

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.graph.heads import Heads
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.base import Setting
from indistill_tf.losses.keras_distillation import KerasDistillation
from indistill_tf.losses.numerics import at_least_float32

# They compare probabilities, and on logits they would neither fail nor mean
# anything: these are given the softmax, the others refused.
_SOFTMAX_LOSSES = (
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
    keras.losses.kl_divergence,
)
_SIGMOID_LOSSES = (
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
)


# Files of distillers hold it under its former name.
@keras.saving.register_keras_serializable(
    package="indistill_tf", name="Objective"
)
class KerasLoss(DistillationLoss):
    """The mean of any Keras loss, with the teacher's output as `y_true`.

    The Kullback-Leibler divergence and the categorical cross-entropies of
    Keras compare probabilities. Between logits they are given the softmax of
    the teacher's, and of the student's unless their `from_logits` is set;
    `SoftenedKL` does the same with a temperature. With `sigmoid` it is the
    binary cross-entropies that are given sigmoids. Each is refused where the
    other belongs, and the sparse cross-entropy everywhere: its target is
    neither.

    Args:
        loss: a `keras.losses.Loss`, a function of `(y_true, y_pred)`, or the
            name of a Keras loss, such as `"mse"` or `"cosine_similarity"`.
            What it returns is averaged. A function is saved by its name:
            register your own with
            `keras.saving.register_keras_serializable`. A `Loss` is saved as
            its `get_config` says, and some of Keras 3.15 leave an argument
            out (`Huber` its `delta`).
        endpoint: what is compared: `"logits"`, `"embedding"`, the name of a
            layer that both networks have, or a pair `(teacher_layer,
            student_layer)`. Defaults to `"logits"`.
        relational: bool, whether the loss compares samples with each other,
            so that replicas must give it the whole batch. Defaults to False.
        sigmoid: bool, whether each logit is of a probability of its own. Of a
            loss that it is given as it is, a `Distiller` chooses it by what
            the networks end in. Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's output, of a shape that `loss` takes.
        student: the student's output.

    Raises:
        UserError: if `loss` is none of these, `endpoint` is neither a name nor
            a pair of names, or `loss` means nothing between logits.

    Example:

    ```python
    loss = indistill_tf.losses.KerasLoss("mse", endpoint="embedding")
    loss = indistill_tf.losses.KerasLoss(
        keras.losses.MeanAbsoluteError(), endpoint=("conv5_out", "tap_3")
    )
    ```
    """

    def __init__(
        self,
        loss: str | Callable | keras.losses.Loss,
        endpoint: str | tuple[str, str] = "logits",
        relational: bool = False,
        sigmoid: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.loss = _as_function(loss)
        self.endpoint = _check_endpoint(endpoint)
        self.relational = relational
        self.sigmoid = sigmoid
        names = (endpoint,) * 2 if isinstance(endpoint, str) else endpoint
        self._needs_sigmoid = _needs_sigmoid(self.loss)
        if "logits" in names:
            self._check_form(sigmoid)
        compares = self._needs_sigmoid is not None
        self._activate = [compares and name == "logits" for name in names]
        if _takes_logits(self.loss):
            self._activate[1] = False

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        activation = ops.sigmoid if self.sigmoid else ops.softmax
        outputs = at_least_float32(teacher, student)
        teacher, student = (
            activation(output) if activate else output
            for output, activate in zip(outputs, self._activate)
        )
        return ops.mean(self.loss(teacher, student))

    def check_heads(self, heads: Heads) -> None:
        super().check_heads(heads)
        if any(self._activate):
            self._check_form(heads.sigmoid)
            self._check_form(self.sigmoid)

    def _check_form(self, sigmoid):
        """Checks that the loss compares what the logits become."""
        if self._needs_sigmoid in (None, sigmoid):
            return
        name = _function(self.loss).__name__
        given = "sigmoids" if sigmoid else "softmax"
        raise UserError(
            f"{name} takes no {given} as its target, and the endpoint 'logits' "
            "gives no other. Use a loss of logits, such as "
            "indistill_tf.losses.SoftenedKL, or name layers that fit the loss "
            "in `endpoint`."
        )

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "loss": keras.losses.serialize(self.loss),
            "endpoint": self.endpoint,
            "relational": self.relational,
            "sigmoid": self.sigmoid,
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        loss = keras.losses.deserialize(config["loss"])
        return cls(**{**config, "loss": loss})


def as_distillation_loss(
    loss: Any, setting: Setting | None = None
) -> DistillationLoss:
    """Returns what a user gave for a loss as a `DistillationLoss`.

    Args:
        loss: one of
            - a `DistillationLoss`, which comes back as it is;
            - a class of these, of which one is made for `setting`;
            - a `keras.distillation.DistillationLoss`, which becomes a
              `KerasDistillation`;
            - a `keras.losses.Loss`, a function of `(y_true, y_pred)` or the
              name of a Keras loss, which becomes a `KerasLoss` on the logits.
        setting: `Setting` of the run, or None where it is not known. Defaults
            to None.

    Raises:
        UserError: if `loss` is none of these.
    """
    if isinstance(loss, DistillationLoss):
        return loss
    if isinstance(loss, type) and issubclass(loss, DistillationLoss):
        return loss.create(setting)
    if isinstance(loss, keras.distillation.DistillationLoss):
        if setting is not None:
            loss.validate_model_compatibility(setting.teacher, setting.student)
        return KerasDistillation(loss)
    if isinstance(loss, str) or _is_function(loss):
        return KerasLoss(loss, sigmoid=_sigmoid(loss, setting))
    raise UserError(
        f"Not a distillation loss: {loss!r}. Expected a loss of "
        "indistill_tf.losses or its class, an instance of "
        "keras.distillation.DistillationLoss or keras.losses.Loss, a function "
        "of (y_true, y_pred), or the name of a Keras loss, such as 'mse'."
    )


def _sigmoid(loss, setting):
    # Whatever is no comparison of probabilities has one form alone.
    if setting is None or _needs_sigmoid(_as_function(loss)) is None:
        return False
    return setting.sigmoid


def _function(loss):
    return getattr(loss, "fn", loss)


def _needs_sigmoid(loss):
    """Returns whether a loss compares sigmoids, a softmax (False) or none."""
    function = _function(loss)
    if function is keras.losses.sparse_categorical_crossentropy:
        # Neither fits.
        return "never"
    if function in _SIGMOID_LOSSES:
        return True
    return False if function in _SOFTMAX_LOSSES else None


def _as_function(loss):
    if _is_function(loss):
        return loss
    if not isinstance(loss, str):
        raise UserError(
            f"Not a loss: {loss!r}. Expected an instance of "
            "keras.losses.Loss, a function of (y_true, y_pred), or the name "
            "of a Keras loss, such as 'mse'."
        )
    try:
        return keras.losses.get(loss)
    except ValueError:
        raise UserError(
            f"Keras has no loss {loss!r}. Expected a name that "
            "keras.losses.get knows, such as 'mse' or 'cosine_similarity'; "
            "give a loss of your own as a function."
        ) from None


def _is_function(loss):
    # A class, a layer and a metric can be called with two arguments too.
    others = (type, keras.layers.Layer, keras.metrics.Metric)
    return callable(loss) and not isinstance(loss, others)


def _takes_logits(loss):
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    return config.get("from_logits", False)


def _check_endpoint(endpoint):
    if isinstance(endpoint, str):
        return endpoint
    if (
        isinstance(endpoint, (list, tuple))
        and len(endpoint) == 2
        and all(isinstance(name, str) for name in endpoint)
    ):
        return tuple(endpoint)
    raise UserError(
        "`endpoint` must be the name of a layer or a pair (teacher_layer, "
        f"student_layer). Received: {endpoint!r}."
    )
