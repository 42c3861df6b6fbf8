"""The callbacks of a `fit` whose losses change from epoch to epoch."""

import keras

from indistill_tf.distillation.schedules import NOT_COMPUTED
from indistill_tf.distillation.schedules import CurriculumCallback

_JUDGES = ("on_epoch_end", "on_train_batch_end", "on_batch_end")


def prepared(callbacks: object, model: keras.Model, verbose: bool) -> list:
    """Returns the callbacks that `fit` runs.

    The `CurriculumCallback` comes first, so that all others see a whole row of
    logs. Those that watch a metric wait for the task. The progress line leaves
    out what an epoch does not compute.

    Args:
        callbacks: what `fit` was given: a callback, a nest of them, a
            `keras.callbacks.CallbackList` or None.
        model: the `PlannedModel`.
        verbose: bool, whether progress is shown.
    """
    callbacks = getattr(callbacks, "callbacks", callbacks)
    # Not `keras.tree.flatten(None)`, which is a list of None.
    callbacks = keras.tree.flatten(callbacks) if callbacks else []
    callbacks = [
        Waiting(item, model) if _watches(item) else item for item in callbacks
    ]
    if not _holds(callbacks, CurriculumCallback):
        callbacks.append(CurriculumCallback())
    if verbose and not _holds(callbacks, keras.callbacks.ProgbarLogger):
        callbacks.append(ProgressLine())
    return sorted(
        callbacks, key=lambda item: not isinstance(item, CurriculumCallback)
    )


def _holds(callbacks, kind):
    return any(isinstance(item, kind) for item in callbacks)


def _watches(callback):
    """Returns whether a callback decides by a metric, as Keras' say it."""
    # A `ModelCheckpoint` always has a monitor, and may save without asking it.
    return isinstance(getattr(callback, "monitor", None), str) and getattr(
        callback, "save_best_only", True
    )


class Waiting:
    """A callback that watches a metric, asleep until the task begins.

    A loss of the warm-up says nothing of the task's. All hooks are those of
    the callback; only the ends of epochs and batches are kept from it while
    the taps warm up. A metric that an epoch does not compute is no number to
    it, but missing, of which Keras' callbacks warn.

    Args:
        callback: `keras.callbacks.Callback` with a `monitor`.
        model: the `PlannedModel`.
    """

    def __init__(self, callback: keras.callbacks.Callback, model: keras.Model):
        self._callback = callback
        self._planned = model

    def __getattr__(self, name):
        found = getattr(self._callback, name)
        # By this mark Keras knows hooks that do nothing, and runs on.
        if name not in _JUDGES or getattr(found, "_is_default", False):
            return found
        return _asleep if self._planned.warms_up() else self._judging(found)

    def _judging(self, hook):
        def judge(number, logs=None):
            logs = {} if logs is None else logs
            if logs.get(self._callback.monitor) is not NOT_COMPUTED:
                return hook(number, logs)
            computed = {
                name: value
                for name, value in logs.items()
                if value is not NOT_COMPUTED
            }
            hook(number, computed)
            return logs.update(computed)

        return judge


def _asleep(number, logs=None):
    del number, logs


class ProgressLine(keras.callbacks.ProgbarLogger):
    """Keras' progress line, without what an epoch does not compute."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        super().on_epoch_end(
            epoch,
            {
                name: value
                for name, value in (logs or {}).items()
                if value is not NOT_COMPUTED
            },
        )
