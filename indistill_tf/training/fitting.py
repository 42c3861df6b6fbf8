"""`fit`, going on where an interrupted training ended."""

import logging
import sys
import time

import keras

from indistill_tf.finite import FiniteCheck

logger = logging.getLogger("indistill_tf")


def fit_on(
    model,
    batches,
    checkpoint,
    role,
    epochs,
    steps,
    last_epoch=None,
    callbacks=(),
    validation=None,
):
    """Trains a model from its last checkpoint on.

    Args:
        model: compiled `keras.Model` with a built optimizer.
        batches: function from the first epoch, counted from 0, to the data.
        checkpoint: `Checkpoint` of the training.
        role: string, what is trained, in messages.
        epochs: int, of the whole training.
        steps: int, batches in an epoch.
        last_epoch: int, the epoch after which it stops, counted from 1.
            Defaults to `epochs`.
        callbacks: list of `keras.callbacks.Callback`, the checkpoint among
            them.
        validation: data to evaluate on after each epoch. Defaults to None.

    Raises:
        UserError: if a loss or a weight is not finite. The last checkpoint is
            good.
    """
    first_epoch = checkpoint.restore(model)
    last_epoch = last_epoch or epochs
    if first_epoch >= last_epoch:
        return
    logger.info(
        "%s: training, epochs %d to %d; the first step is compiled first",
        role,
        first_epoch + 1,
        last_epoch,
    )
    # First, so that no checkpoint is written of what is not finite.
    callbacks = [FiniteCheck(role), *callbacks, Forecast(role, last_epoch)]
    if last_epoch < epochs:
        # Not fewer epochs of `fit`: its schedules are those of the whole.
        callbacks.append(_stop_after(model, last_epoch))
    model.fit(
        batches(first_epoch),
        epochs=epochs,
        initial_epoch=first_epoch,
        steps_per_epoch=steps,
        validation_data=validation,
        callbacks=callbacks,
        shuffle=False,
        verbose=verbosity(),
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


def verbosity():
    """Returns how `fit` reports: a bar, or a line an epoch in a file."""
    # A bar that redraws itself makes a log file unreadable.
    return 1 if sys.stdout.isatty() else 2


def _stop_after(model, epochs):
    def stop(epoch, logs):
        del logs
        model.stop_training = epoch + 1 >= epochs

    return keras.callbacks.LambdaCallback(on_epoch_end=stop)
