"""What training may not lose: finite losses, finite weights.

A number that is not finite spreads: one step later every weight is NaN, and a
network of NaN still answers, with its first class.
"""

import math
import time

import keras
import numpy as np
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

_ADVICE = (
    "Lower `learning_rate`, or look for images and labels that are out of range"
)
# What no training makes of a weight, but one bit of its exponent does. Of a
# variance, which is a square, it is the square.
_LARGEST = 1e6
# Of many weights in a message, the first.
_NAMED = 5
# Of the time, what the look at the weights may take.
_PART_OF_TIME = 0.002


class NotFinite(UserError):
    """A loss, or weights, that training has made no longer finite."""


class FiniteCheck(keras.callbacks.Callback):
    """Stops a training whose loss or weights are no longer finite.

    The loss is looked at after each call of the compiled step: the logs are
    those that Keras reads anyway. A loss may hide a weight that is not finite,
    as a maximum may pass NaN over. So the weights are looked at when training
    begins, at the end of each epoch, before other callbacks save them, and
    with one replica from time to time within it: so seldom that it takes two
    thousandths of the time.

    Args:
        role: string, what is trained, in messages. Defaults to None: the
            model's name.

    Raises:
        NotFinite: in `fit`, where it stops.
    """

    # Keras reads the logs beside the training then, as without this callback.
    async_safe = True

    def __init__(self, role: str | None = None) -> None:
        super().__init__()
        self.role = role
        self._epoch, self._step, self._next = 1, 0, 0.0

    def on_train_begin(self, logs: dict | None = None) -> None:
        check_weights(self.model, self.role)
        self._set_next(time.perf_counter())

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch, self._step = epoch + 1, 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._step = batch + 1
        self._check_loss(batch, logs or {})
        # Replicas would have to look together.
        one = self.model.distribute_strategy.num_replicas_in_sync == 1
        start = time.perf_counter()
        if one and start >= self._next:
            self._check_weights()
            self._set_next(start)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._check_weights()

    def _set_next(self, start):
        now = time.perf_counter()
        self._next = now + (now - start) / _PART_OF_TIME

    def _check_loss(self, batch, logs):
        loss = logs.get("loss", 0.0)
        if math.isfinite(loss):
            return
        names = ", ".join(self._sources(logs)) or "its loss"
        raise NotFinite(
            f"{self._name}: {names} became {loss} in {self._steps(batch)} of "
            f"epoch {self._epoch}; training stopped. {_ADVICE}."
        )

    def _check_weights(self):
        bad = weights_out_of_range(self.model)
        if bad:
            raise NotFinite(
                f"{self._name}: weight {bad[0]!r} was no longer finite after "
                f"step {self._step} of epoch {self._epoch} "
                f"({len(bad)} weights); training stopped. {_ADVICE}."
            )

    @property
    def _name(self):
        return self.role or self.model.name

    def _sources(self, logs):
        """Yields the parts of the loss that are not finite, with their taps."""
        describe = getattr(self.model, "describe_loss", str)
        for name, value in logs.items():
            if name.startswith("loss/") and not math.isfinite(value):
                # None where the epoch does not compute it.
                yield from filter(None, [describe(name)])

    def _steps(self, batch):
        """Returns the steps of a call, of which the logs have one value."""
        first = max(batch + 2 - self.model.steps_per_execution, 1)
        if first == batch + 1:
            return f"step {first}"
        return f"one of the steps {first} to {batch + 1}"


def weights_out_of_range(model: keras.Model) -> list[str]:
    """Returns the paths of the weights that are not finite.

    Args:
        model: built `keras.Model`. A mask of -inf, which nothing trains, is
            what it should be.
    """
    floats = [
        weight
        for weight in model.weights
        if keras.backend.is_float_dtype(weight.dtype)
    ]
    return [weight.path for weight in floats if not _is_in_range(weight)]


def check_weights(model: keras.Model, role: str | None = None) -> None:
    """Checks that a network's weights are finite.

    Args:
        model: built `keras.Model`.
        role: string, what it is, in the message. Defaults to None: `"model"`
            and its name.

    Raises:
        UserError: if not.
    """
    bad = weights_out_of_range(model)
    if bad:
        raise UserError(
            f"Weights of {role or f'model {model.name!r}'} are not finite: "
            f"{bad[0]!r} ({len(bad)} weights). Train it again, or read it from "
            "a sound file."
        )


def check_read(model: keras.Model, source: object) -> None:
    """Checks that weights from a file may be those of a training.

    Args:
        model: built `keras.Model`.
        source: the file, in the message.

    Raises:
        UserError: if one is not finite, or larger than a million; of a
            variance, than its square.
    """
    bad = [
        f"{weight.path!r} ({_extreme(weight):.3g})"
        for weight in model.weights
        if keras.backend.is_float_dtype(weight.dtype)
        and not (_is_in_range(weight) and _extreme(weight) <= _limit(weight))
    ]
    if bad:
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise UserError(
            f"{source} holds weights that no training makes: "
            f"{', '.join(bad[:_NAMED])}{more}. It is damaged: copy it again, "
            "or make it again."
        )


def check_outputs(outputs: Tensor, owner: str) -> None:
    """Checks that what a network gives is finite.

    Args:
        outputs: array of floats.
        owner: string, whose and what outputs they are, in the message.

    Raises:
        UserError: if not.
    """
    finite = np.isfinite(ops.convert_to_numpy(outputs))
    if not finite.all():
        raise UserError(
            f"{owner} not finite: {int((~finite).sum())} of {finite.size} "
            "numbers. Train it again, or read its weights from a sound file."
        )


def _is_in_range(weight):
    # By NumPy: of small weights TensorFlow's calls would take most of the time.
    values = ops.convert_to_numpy(weight)
    in_range = np.isfinite(values)
    if in_range.all():
        return True
    return not weight.trainable and bool((in_range | (values == -np.inf)).all())


def _extreme(weight):
    """Returns the largest absolute value, but for a mask of -inf."""
    values = ops.convert_to_numpy(weight)
    if not weight.trainable:
        values = values[values != -np.inf]
    return float(np.max(np.abs(values), initial=0))


def _limit(weight):
    return _LARGEST**2 if "variance" in weight.name else _LARGEST
