"""`fit`, going on where an interrupted training ended."""

import logging

import keras

from indistill_tf.finite import FiniteCheck
from indistill_tf.finite import NotFinite
from indistill_tf.training import interruption
from indistill_tf.training import progress
from indistill_tf.training.snapshots import Position

logger = logging.getLogger("indistill_tf")

RESTORE = "restore"
# Of one training; a fourth time it is the recipe that is wrong.
MOST_RESTORATIONS = 3


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
    on_nan="stop",
):
    """Trains a model from its last checkpoint on.

    A signal that ends the process waits until a step is done, and the
    training is saved.

    Args:
        model: compiled `keras.Model` with a built optimizer.
        batches: function from the `Position` to begin at to the data.
        checkpoint: `Checkpoint` of the training.
        role: string, what is trained, in messages.
        epochs: int, of the whole training.
        steps: int, batches in an epoch.
        last_epoch: int, the epoch after which it stops, counted from 1.
            Defaults to `epochs`.
        callbacks: list of `keras.callbacks.Callback`, the checkpoint among
            them.
        validation: tuple of data to evaluate on after each epoch and of the
            steps that it takes, or None. Defaults to None.
        on_nan: what to do where a loss or a weight is not finite: `"stop"`, or
            `"restore"` the last checkpoint, three times at most. Defaults to
            `"stop"`.

    Raises:
        UserError: if a loss or a weight is not finite. The last checkpoint is
            good.
        Interrupted: if a signal has come. The training is saved.
    """
    last_epoch = last_epoch or epochs

    validation_data, validation_steps = validation or (None, None)

    def fit(begin, end):
        # First, so that no checkpoint is written of what is not finite.
        own = [FiniteCheck(role), *callbacks]
        own += progress.reports(role, last_epoch)
        if end < epochs:
            # Not fewer epochs of `fit`: its schedules are those of the whole.
            own.append(_stop_after(model, end))
        model.fit(
            batches(begin),
            epochs=epochs,
            initial_epoch=begin.epoch,
            steps_per_epoch=steps - begin.step,
            validation_data=validation_data,
            validation_steps=validation_steps,
            callbacks=own,
            shuffle=False,
            verbose=progress.verbosity(),
        )

    def fit_to_the_end():
        begin = checkpoint.restore(model)
        if begin == Position(0) and on_nan == RESTORE:
            checkpoint.save(model, begin)
        if begin.epoch >= last_epoch:
            return
        logger.info("%s: %s", role, _what_is_trained(begin, last_epoch))
        if begin.step:
            # What is left of an epoch, then as from any whole one.
            fit(begin, begin.epoch + 1)
            begin = checkpoint.restore(model)
        if begin.epoch < last_epoch:
            fit(begin, last_epoch)

    with interruption.waiting() as checkpoint.pending:
        while True:
            try:
                return fit_to_the_end()
            except NotFinite as error:
                known = len(checkpoint.restored)
                if on_nan != RESTORE or known == MOST_RESTORATIONS:
                    raise
                checkpoint.restored = [*checkpoint.restored, str(error)]
                logger.warning(
                    "%s Back to the last checkpoint, with half the learning "
                    "rate (%d of %d times).",
                    *(error, known + 1, MOST_RESTORATIONS),
                )


def _what_is_trained(begin, last_epoch):
    if begin == Position(0):
        return f"training, epochs 1 to {last_epoch}"
    return f"training goes on at {begin}, to epoch {last_epoch}"


def _stop_after(model, epochs):
    def stop(epoch, logs):
        del logs
        model.stop_training = epoch + 1 >= epochs

    return keras.callbacks.LambdaCallback(on_epoch_end=stop)
