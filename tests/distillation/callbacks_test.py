"""Callbacks of Keras and of users, through a warm-up of two epochs."""

import csv
import math

import keras
import numpy as np
import pytest

from indistill_tf.distillation.callbacks import ProgressLine
from indistill_tf.distillation.callbacks import prepared
from indistill_tf.distillation.schedules import CurriculumCallback

# No loss improves by so much.
NEVER = 1e3


def test_early_stopping_begins_with_the_task(tiny):
    callbacks = [
        keras.callbacks.EarlyStopping(monitor, patience=1, min_delta=NEVER)
        for monitor in ("loss", "val_loss", "accuracy", "val_accuracy")
    ]
    history = tiny.fit(
        tiny.make(), epochs=9, validation_data=tiny.data, callbacks=callbacks
    )
    assert history.epoch == [0, 1, 2, 3]
    assert [callback.stopped_epoch for callback in callbacks] == [3] * 4


class Subclass(keras.callbacks.ReduceLROnPlateau):
    """A user's own."""


@pytest.mark.parametrize("kind", [keras.callbacks.ReduceLROnPlateau, Subclass])
def test_the_rate_of_the_warm_up_stays(tiny, kind):
    plateau = kind("loss", patience=1, min_delta=NEVER, factor=0.5)
    logs = tiny.fit(tiny.make(), epochs=5, callbacks=[plateau]).history
    # It looks back at an epoch, and shows what the epoch was trained with.
    rates = np.array(logs["learning_rate"])
    np.testing.assert_allclose(rates, [1e-3] * 4 + [5e-4], rtol=1e-6)


def test_the_best_of_the_task_is_saved(tiny, tmp_path):
    saver = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.keras", "loss", save_best_only=True
    )
    always = keras.callbacks.ModelCheckpoint(
        tmp_path / "all-{epoch}-{accuracy:.0f}.keras", "accuracy"
    )
    logs = tiny.fit(tiny.make(), callbacks=[saver, always]).history
    # The losses of the warm-up are smaller.
    assert max(logs["loss"][:2]) < min(logs["loss"][2:])
    assert saver.best == min(logs["loss"][2:])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "3.keras",
        "4.keras",
        "all-1-nan.keras",
        "all-2-nan.keras",
        "all-3-0.keras",
        "all-4-0.keras",
    ]


class Watcher(keras.callbacks.Callback):
    """A user's own, which shares nothing with Keras' but `monitor`."""

    monitor = "val_accuracy"

    def __init__(self):
        super().__init__()
        self.begun, self.judged = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.judged.append(epoch)


def test_preparing_epochs_do_not_count_either(tiny):
    watcher = Watcher()
    distiller = tiny.make(method="factor_transfer", preparation=1)
    logs = tiny.fit(distiller, epochs=2, callbacks=[watcher]).history
    assert watcher.begun == [0, 1]
    assert watcher.judged == [1]
    assert {len(values) for values in logs.values()} == {2}
    assert math.isnan(logs["loss/prepare_1"][1])
    assert math.isnan(logs["loss/tap_1"][0])


def test_methods_without_warm_up_are_watched_from_the_first_epoch(tiny):
    watcher = Watcher()
    tiny.fit(tiny.make(method="pkt"), epochs=2, callbacks=watcher)
    assert watcher.judged == [0, 1]


def test_a_metric_of_the_warm_up_is_missing_in_the_task(tiny):
    stopping = keras.callbacks.EarlyStopping(
        "loss/tap_1", patience=1, mode="min"
    )
    with pytest.warns(UserWarning, match="`loss/tap_1` which is not available"):
        history = tiny.fit(tiny.make(), epochs=5, callbacks=[stopping])
    assert len(history.epoch) == 5


def test_metrics_of_evaluations_can_be_watched_in_retrieval(tiny):
    # Training computes no accuracy; whether it should rise is known still.
    stopping = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=1, min_delta=NEVER
    )
    history = tiny.fit(
        tiny.make(method="pkt", supervised_weight=0.0),
        validation_data=tiny.data,
        callbacks=[stopping],
    )
    assert history.epoch == [0, 1]


def test_every_epoch_logs_every_name(tiny, tmp_path):
    # The curriculum's callback runs first, wherever it stands.
    callbacks = [
        keras.callbacks.CSVLogger(tmp_path / "a.csv"),
        CurriculumCallback(),
    ]
    distiller = tiny.make()
    logs = tiny.fit(distiller, callbacks=callbacks).history
    assert {name: len(values) for name, values in logs.items()} == {
        name: 4
        for name in (
            *("loss", "loss/tap_1", "loss/task", "loss/supervised"),
            *("accuracy", "stage", "learning_rate"),
        )
    }
    assert np.isnan(logs["loss/tap_1"]).tolist() == [False] * 2 + [True] * 2
    for name in ("loss/task", "loss/supervised", "accuracy"):
        assert np.isnan(logs[name]).tolist() == [True] * 2 + [False] * 2
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, values in logs.items():
        np.testing.assert_array_equal(
            [float(row[name]) for row in rows], values
        )


def test_names_are_the_same_in_a_fit_of_each_epoch(tiny):
    distiller = tiny.make()
    names = [
        set(tiny.fit(distiller, epochs=e + 1, initial_epoch=e).history)
        for e in range(3)
    ]
    assert names[0] == names[1] == names[2]


def test_what_is_never_computed_is_not_logged(tiny):
    distiller = tiny.make(method="pkt", supervised_weight=0.0)
    logs = tiny.fit(distiller, epochs=1).history
    assert set(logs) == {"loss", "loss/task", "stage", "learning_rate"}


def test_the_progress_line_shows_what_is_computed(tiny, capsys):
    tiny.fit(tiny.make(warm_up=1), epochs=2, verbose=2)
    first, second = [
        line for line in capsys.readouterr().out.splitlines() if "loss" in line
    ]
    assert "loss/tap_1" in first and "loss/task" not in first
    assert "loss/tap_1" not in second and "loss/task" in second
    assert "nan" not in first + second


@pytest.mark.parametrize(
    "wrap",
    [
        lambda item: item,
        lambda item: [[item]],
        lambda item: keras.callbacks.CallbackList([item]),
    ],
    ids=["alone", "nested", "list"],
)
def test_callbacks_come_as_keras_takes_them(wrap):
    item = keras.callbacks.LambdaCallback()
    first, second, last = prepared(wrap(item), None, verbose=True)
    assert isinstance(first, CurriculumCallback)
    assert second is item
    assert isinstance(last, ProgressLine)


def test_no_callbacks_are_given():
    (only,) = prepared(None, None, verbose=False)
    assert isinstance(only, CurriculumCallback)


def test_lambdas_find_every_name(tiny):
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["accuracy"])
    )
    tiny.fit(tiny.make(warm_up=1), epochs=2, callbacks=[callback])
    assert math.isnan(seen[0]) and seen[1] > 0


def test_backup_and_restore_goes_on_as_if_undisturbed(tiny, tmp_path):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    whole, first, second = tiny.make(), tiny.make(), tiny.make()
    tiny.fit(whole)
    with pytest.raises(KeyboardInterrupt):
        tiny.fit(first, callbacks=[backup(), Kill()])
    assert tiny.fit(second, callbacks=[backup()]).epoch == [1, 2, 3]
    for mine, theirs in zip(second.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
