"""Schedules: the weight of every loss as a pure function of the epoch."""

import dataclasses

import keras

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

RESTARTS = ("stage", "epoch", "never")

# In the logs of an epoch, a loss or metric that this epoch does not compute.
# This very object, so that a loss that is no number is told apart.
NOT_COMPUTED = float("nan")


@dataclasses.dataclass(frozen=True)
class TaskOnly:
    """The task in every epoch: the schedule of methods without taps."""

    def weights(self, epoch: int, num_taps: int) -> list[float]:
        """Returns `num_taps` zeros and a one.

        Args:
            epoch: int, counted from 0.
            num_taps: int.
        """
        del epoch
        return [0.0] * num_taps + [1.0]

    def check(self, epochs: int, num_taps: int) -> None:
        """Accepts any number of epochs.

        Args:
            epochs: int, the budget.
            num_taps: int.
        """


@dataclasses.dataclass(frozen=True)
class Curriculum:
    """InDistill's curriculum: a tap at a time, shallow to deep, then the task.

    Tap `i`, counted from 1, is trained alone for `e_i = a + i * b` epochs
    (eq. 5), starting at epoch `r_i = e_1 + ... + e_(i-1)` (eq. 6); every later
    epoch trains the task (eq. 7). Ours: the taps may stay beside the task, with
    a weight that decays from epoch to epoch.

    Args:
        a: int, 0 or more. Defaults to 2.
        b: int, 0 or more. Defaults to 1.
        tap_weight: float, of each tap in the first epoch of the task, whose
            own is 1. Defaults to 0: the taps are dropped.
        decay: float, what a further epoch multiplies it by. Defaults to 0.7.

    Raises:
        UserError: if a tap would get no epoch, or a weight is out of range.

    Example:

    >>> Curriculum(a=2, b=1).epochs_per_tap(3)
    [3, 4, 5]
    >>> Curriculum(a=2, b=1).weights(epoch=3, num_taps=3)
    [0.0, 1.0, 0.0, 0.0]
    >>> Curriculum(a=1, b=0, tap_weight=8, decay=0.5).weights(2, num_taps=1)
    [4.0, 1.0]

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), eq. 5-7
    """

    a: int = 2
    b: int = 1
    tap_weight: float = 0.0
    decay: float = 0.7

    def __post_init__(self):
        if self.a < 0 or self.b < 0 or self.a + self.b < 1:
            raise UserError(
                "A curriculum needs a >= 0, b >= 0 and a + b >= 1. Received: "
                f"a={self.a}, b={self.b}"
            )
        if not (self.tap_weight >= 0 and 0 <= self.decay <= 1):
            raise UserError(
                "Taps beside the task need tap_weight >= 0 and 0 <= decay <= "
                f"1. Received: tap_weight={self.tap_weight}, "
                f"decay={self.decay}"
            )

    def epochs_per_tap(self, num_taps: int) -> list[int]:
        """Returns `[e_1, ..., e_T]`.

        Args:
            num_taps: int, T.
        """
        return [self.a + self.b * i for i in range(1, num_taps + 1)]

    def weights(self, epoch: int, num_taps: int) -> list[float]:
        """Returns the weight of each tap and, last, of the task.

        Args:
            epoch: int, counted from 0.
            num_taps: int, T.

        Returns:
            List of T + 1 floats: a tap's is 1 and the others 0, or the task's
            is 1 and the taps' are equal.
        """
        for stage, epochs in enumerate(self.epochs_per_tap(num_taps)):
            if epoch < epochs:
                return [float(index == stage) for index in range(num_taps + 1)]
            epoch -= epochs
        return [self.tap_weight * self.decay**epoch] * num_taps + [1.0]

    def check(self, epochs: int, num_taps: int) -> None:
        """Checks that an epoch budget leaves time for the task.

        Args:
            epochs: int, the budget.
            num_taps: int.

        Raises:
            UserError: if not; the message prints the arithmetic.
        """
        per_tap = self.epochs_per_tap(num_taps)
        warm_up = sum(per_tap)
        if epochs <= warm_up:
            raise UserError(
                f"Curriculum(a={self.a}, b={self.b}) over {num_taps} taps "
                f"warms up for {' + '.join(map(str, per_tap))} = {warm_up} "
                f"epochs and the task needs at least one more, but the budget "
                f"is {epochs}. Use {warm_up + 1} epochs or more, or a smaller "
                "a or b."
            )


@dataclasses.dataclass(frozen=True)
class Simultaneous(TaskOnly):
    """All taps and the task in every epoch.

    Args:
        tap_weight: float, of each tap beside the task's 1. Defaults to 1.
    """

    tap_weight: float = 1.0

    def weights(self, epoch: int, num_taps: int) -> list[float]:
        """Returns the taps' weight `num_taps` times and a one.

        Args:
            epoch: int, counted from 0.
            num_taps: int.
        """
        del epoch
        return [self.tap_weight] * num_taps + [1.0]


@dataclasses.dataclass(frozen=True)
class CriticalPeriod(TaskOnly):
    """All taps and the task, the taps' weight decaying from epoch to epoch.

    At epoch e each tap weighs `initial * decay**e`: intermediate layers count
    while the network's critical connections form.

    Args:
        initial: float, w0. Defaults to 100.
        decay: float, gamma. Defaults to 0.7.

    References:
        - [Passalis et al., 2020](https://arxiv.org/abs/2005.00727)
    """

    initial: float = 100.0
    decay: float = 0.7

    def weights(self, epoch: int, num_taps: int) -> list[float]:
        """Returns the epoch's tap weight `num_taps` times and a one.

        Args:
            epoch: int, counted from 0.
            num_taps: int.
        """
        return [self.initial * self.decay**epoch] * num_taps + [1.0]


@dataclasses.dataclass(frozen=True)
class TwoStage(TaskOnly):
    """All taps first, then the task: the schedule of FitNets and FSP.

    The task's weight may fall linearly from its first epoch on, as the weight
    of the teacher beside the labels does in FitNets.

    Args:
        warm_up: int, the epochs of the taps. Defaults to 12, what
            `Curriculum()` spends on three taps.
        first: float above 0, the task's weight in its first epoch. Defaults
            to 1.
        last: float above 0, the task's weight in the end. Defaults to 1.
        falling: int, the epochs from `first` to `last`. Defaults to 0: `last`
            at once.

    Raises:
        UserError: if a number is out of range.

    Example:

    >>> TwoStage(warm_up=2, first=4, last=1, falling=3).weights(3, 1)
    [0.0, 3.0]

    References:
        - [Romero et al., 2015](https://arxiv.org/abs/1412.6550), sec. 2.3
    """

    warm_up: int = 12
    first: float = 1.0
    last: float = 1.0
    falling: int = 0

    def __post_init__(self):
        if self.warm_up < 1 or self.falling < 0:
            raise UserError(
                "A two-stage schedule needs warm_up >= 1 and falling >= 0. "
                f"Received: warm_up={self.warm_up}, falling={self.falling}"
            )
        if min(self.first, self.last) <= 0:
            raise UserError(
                "The task's weight must stay above 0. Received: "
                f"first={self.first}, last={self.last}"
            )

    def weights(self, epoch: int, num_taps: int) -> list[float]:
        """Returns the weight of each tap and, last, of the task.

        Args:
            epoch: int, counted from 0.
            num_taps: int.
        """
        epoch -= self.warm_up
        if epoch < 0:
            return [1.0] * num_taps + [0.0]
        progress = min(epoch / self.falling, 1.0) if self.falling else 1.0
        return [0.0] * num_taps + [
            float(self.first + (self.last - self.first) * progress)
        ]

    def check(self, epochs: int, num_taps: int) -> None:
        """Checks that an epoch budget leaves time for the task.

        Args:
            epochs: int, the budget.
            num_taps: int.

        Raises:
            UserError: if not.
        """
        if epochs <= self.warm_up:
            raise UserError(
                f"The taps are trained for {self.warm_up} epochs and the task "
                f"needs at least one more, but the budget is {epochs}. Use "
                f"{self.warm_up + 1} epochs or more, or a shorter `warm_up`."
            )


class CurriculumCallback(keras.callbacks.Callback):
    """Advances a `Distiller` to the stage of each epoch.

    It reads the stage from the epoch number alone, so a resumed run needs no
    other state. It adds to the logs `stage` (1 for the first tap, T + 1 for
    the task, 0 for a preparation), `learning_rate`, and as NaN each loss and
    metric that the epoch does not compute: so every epoch logs the same names.
    `Distiller.fit` adds one where none is given, and runs it first.

    Args:
        restart_optimizer: `"stage"` begins each stage with a fresh optimizer.
            With `"never"` Adam measures the task's gradients by those of the
            taps' losses, which are a thousand times as large: the layers that
            had warmed up hardly move for epochs, and the new ones, whose
            moments are still zero at a late step, move too far. `"epoch"`
            begins each epoch with one, as the InDistill authors' code does. A
            learning-rate schedule goes on all the same, be it counted in
            steps (`keras.optimizers.schedules`) or in epochs
            (`keras.callbacks.LearningRateScheduler`). Defaults to `"stage"`.

    Raises:
        UserError: if `restart_optimizer` is unknown, and, when training
            begins, if an optimizer is to be restarted that was used before,
            or one with a schedule where the steps of an epoch are not known.

    Example:

    ```python
    distiller.fit(data, epochs=70, callbacks=[CurriculumCallback()])
    ```
    """

    def __init__(self, restart_optimizer: str = "stage"):
        super().__init__()
        if restart_optimizer not in RESTARTS:
            raise unknown_name("restart", restart_optimizer, RESTARTS)
        self.restart_optimizer = restart_optimizer

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._begins = True

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._check_restarts(epoch)
        self.model.set_epoch(epoch)
        if epoch > 0 and self._restarts(epoch):
            self.model.restart_optimizer()
        # Of the epoch alone, as all here, so that a resumed run knows it too.
        begun = filter(self._restarts, range(epoch, 0, -1))
        steps = self.params.get("steps") or 0
        self.model.set_steps_before(next(begun, 0) * steps)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is None:
            return
        logs["stage"] = self.model.stage
        logs["learning_rate"] = self.model.learning_rate()
        for name in self.model.log_names():
            logs.setdefault(name, NOT_COMPUTED)

    def _check_restarts(self, epoch):
        # What cannot be restarted is found before hours of training.
        to_come = range(max(epoch, 1), self.params["epochs"])
        if self._begins and any(map(self._restarts, to_come)):
            self.model.check_restarts(self.params.get("steps"))
        self._begins = False

    def _restarts(self, epoch):
        if self.restart_optimizer == "stage":
            active = self.model.active_losses
            return active(epoch) != active(epoch - 1)
        return self.restart_optimizer == "epoch"
