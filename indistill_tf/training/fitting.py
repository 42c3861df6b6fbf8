"""`fit`, going on where an interrupted training ended."""

import logging

import keras

from indistill_tf.finite import FiniteCheck
from indistill_tf.training import progress

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
        validation: tuple of data to evaluate on after each epoch and of the
            steps that it takes, or None. Defaults to None.

    Raises:
        UserError: if a loss or a weight is not finite. The last checkpoint is
            good.
    """
    first_epoch = checkpoint.restore(model)
    last_epoch = last_epoch or epochs
    if first_epoch >= last_epoch:
        return
    logger.info(
        "%s: training, epochs %d to %d",
        role,
        first_epoch + 1,
        last_epoch,
    )
    # First, so that no checkpoint is written of what is not finite.
    callbacks = [FiniteCheck(role), *callbacks]
    callbacks += progress.reports(role, last_epoch)
    if last_epoch < epochs:
        # Not fewer epochs of `fit`: its schedules are those of the whole.
        callbacks.append(_stop_after(model, last_epoch))
    validation_data, validation_steps = validation or (None, None)
    model.fit(
        batches(first_epoch),
        epochs=epochs,
        initial_epoch=first_epoch,
        steps_per_epoch=steps,
        validation_data=validation_data,
        validation_steps=validation_steps,
        callbacks=callbacks,
        shuffle=False,
        verbose=progress.verbosity(),
    )


def _stop_after(model, epochs):
    def stop(epoch, logs):
        del logs
        model.stop_training = epoch + 1 >= epochs

    return keras.callbacks.LambdaCallback(on_epoch_end=stop)
