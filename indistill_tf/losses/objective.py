"""A user's own objective as a distillation loss: the teacher is the target."""

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.keras_distillation import KerasDistillation
from indistill_tf.losses.numerics import at_least_float32

# Their targets are probabilities or classes, with `from_logits` too. On logits
# they neither fail nor mean anything.
_PROBABILITY_LOSSES = (
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
    keras.losses.kl_divergence,
    keras.losses.sparse_categorical_crossentropy,
)


@keras.saving.register_keras_serializable(package="indistill_tf")
class Objective(DistillationLoss):
    """The mean of any Keras loss, with the teacher's output as `y_true`.

    The Kullback-Leibler divergence and the cross-entropies of Keras take
    probabilities as targets, so they are refused where the teacher gives
    logits: `SoftenedKL` and its peers are made for these. Between layers that
    hold probabilities they may be used; their argument `from_logits` speaks of
    the student alone.

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
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's output, of a shape that `loss` takes.
        student: the student's output.

    Raises:
        UserError: if `loss` is none of these, `endpoint` is neither a name nor
            a pair of names, or `loss` needs probabilities and gets logits.

    Example:

    ```python
    loss = indistill_tf.losses.Objective("mse", endpoint="embedding")
    loss = indistill_tf.losses.Objective(
        keras.losses.MeanAbsoluteError(), endpoint=("conv5_out", "tap_3")
    )
    ```
    """

    def __init__(
        self, loss, endpoint="logits", relational=False, name=None, **kwargs
    ):
        super().__init__(name=name, **kwargs)
        self.loss = _find(loss)
        self.endpoint = _check_endpoint(endpoint)
        self.relational = relational
        target = endpoint if isinstance(endpoint, str) else endpoint[0]
        function = getattr(self.loss, "fn", self.loss)
        if target == "logits" and function in _PROBABILITY_LOSSES:
            raise UserError(
                f"{function.__name__} needs probabilities as targets, but the "
                "endpoint 'logits' gives logits. Use a loss of logits, such "
                "as indistill_tf.losses.SoftenedKL, or name a teacher's layer "
                "of probabilities in `endpoint`."
            )

    def call(self, teacher, student):
        teacher, student = at_least_float32(teacher, student)
        return ops.mean(self.loss(teacher, student))

    def get_config(self):
        return {
            **super().get_config(),
            "loss": keras.losses.serialize(self.loss),
            "endpoint": self.endpoint,
            "relational": self.relational,
        }

    @classmethod
    def from_config(cls, config):
        loss = keras.losses.deserialize(config["loss"])
        return cls(**{**config, "loss": loss})


def as_distillation_loss(loss, setting=None):
    """Returns what a user gave for a loss as a `DistillationLoss`.

    Args:
        loss: one of
            - a `DistillationLoss`, which comes back as it is;
            - a class of these, of which one is made for `setting`;
            - a `keras.distillation.DistillationLoss`, which becomes a
              `KerasDistillation`;
            - a `keras.losses.Loss`, a function of `(y_true, y_pred)` or the
              name of a Keras loss, which becomes an `Objective` on the logits.
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
        return Objective(loss)
    raise UserError(
        f"Not a distillation loss: {loss!r}. Expected a loss of "
        "indistill_tf.losses or its class, an instance of "
        "keras.distillation.DistillationLoss or keras.losses.Loss, a function "
        "of (y_true, y_pred), or the name of a Keras loss, such as 'mse'."
    )


def _find(loss):
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
