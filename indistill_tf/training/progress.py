"""What is said while a network is trained: of stages, epochs and the time."""

import logging
import sys
import time

import keras

from indistill_tf.distillation.schedules import NOT_COMPUTED
from indistill_tf.distribution import is_chief

logger = logging.getLogger("indistill_tf")


def verbosity() -> int:
    """Returns how Keras itself reports: a bar, an epoch's two lines, or none.

    A bar that redraws itself makes a log file unreadable. Where the library's
    log is shown, `EpochLine` speaks instead. Of several workers the chief does.
    """
    if not is_chief():
        return 0
    if sys.stdout.isatty():
        return 1
    return 0 if logger.isEnabledFor(logging.INFO) else 2


def reports(role: str, epochs: int) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that say how a training goes.

    Args:
        role: string, what is trained.
        epochs: int, the epoch after which it stops, counted from 1.
    """
    found = [CompilationLine(role), Forecast(role, epochs)]
    if verbosity() == 0:
        found.insert(1, EpochLine(role, epochs))
    return found


class CompilationLine(keras.callbacks.Callback):
    """Says in which epochs a step is compiled first, which takes a while.

    Args:
        role: string, what is trained.
    """

    def __init__(self, role: str):
        super().__init__()
        self.role = role
        self._compiled = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        # A distiller has put the step of the epoch's stage there.
        step = self.model.train_function
        if step in self._compiled:
            return
        self._compiled.append(step)
        stage = getattr(self.model, "stage", None)
        what = "its step" if stage is None else f"stage {stage}"
        logger.info("%s: compiling %s", self.role, what)


class EpochLine(keras.callbacks.Callback):
    """Logs each epoch in one line: its number, seconds, losses and metrics.

    Args:
        role: string, what is trained.
        epochs: int, the epoch after which it stops, counted from 1.
    """

    def __init__(self, role: str, epochs: int):
        super().__init__()
        self.role, self.epochs = role, epochs

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        values = "".join(
            f" - {name}: {value:.4g}"
            for name, value in (logs or {}).items()
            if value is not NOT_COMPUTED
        )
        logger.info(
            "%s: epoch %d/%d - %s%s",
            *(self.role, epoch + 1, self.epochs),
            *(duration(time.perf_counter() - self._start), values),
        )


class Forecast(keras.callbacks.Callback):
    """Says after the first epoch how long the others will take.

    Args:
        role: string, what is trained.
        epochs: int, the epoch after which it stops, counted from 1.
    """

    def __init__(self, role: str, epochs: int):
        super().__init__()
        self.role, self.epochs = role, epochs
        self._start = None

    def on_train_begin(self, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        if self._start is None:
            return
        left = self.epochs - epoch - 1
        seconds = left * (time.perf_counter() - self._start)
        self._start = None
        if left:
            logger.info(
                "%s: %d epochs left, about %s if all take as long",
                self.role,
                left,
                duration(seconds),
            )


def duration(seconds: float) -> str:
    """Returns a time as people say it.

    Args:
        seconds: float.

    Example:

    >>> duration(40), duration(100), duration(9000)
    ('40 s', '2 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
