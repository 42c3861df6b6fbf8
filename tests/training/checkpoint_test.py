import keras
import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.distillation.schedules import NOT_COMPUTED
from indistill_tf.errors import UserError
from indistill_tf.training import checkpoint


@pytest.fixture
def make():
    def make():
        model = models.build("cnn_s", (32, 32, 1), 10)
        model.compile("adam", "sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
        return model

    return make


def fit(model, saver, epochs, batch):
    saver.set_model(model)
    model.fit(
        *batch,
        epochs=epochs,
        initial_epoch=saver.restore(model),
        callbacks=[saver],
        verbose=0,
        shuffle=False,
    )


def test_state_comes_back(make, tmp_path, batch):
    first = make()
    fit(first, checkpoint.Checkpoint(tmp_path), 2, batch)
    files = list((tmp_path / "checkpoint").iterdir())
    assert [file.name for file in files] == ["epoch_2.weights.h5"]
    second, saver = make(), checkpoint.Checkpoint(tmp_path)
    assert saver.restore(second) == 2
    for mine, theirs in zip(
        first.variables + first.optimizer.variables,
        second.variables + second.optimizer.variables,
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert [row["epoch"] for row in saver.rows] == [0, 1]


def test_without_a_checkpoint_it_starts_at_0(make, tmp_path):
    assert checkpoint.Checkpoint(tmp_path).restore(make()) == 0


def test_half_written_checkpoint_is_not_taken(make, tmp_path, batch):
    saver = checkpoint.Checkpoint(tmp_path)
    fit(make(), saver, 1, batch)
    half = tmp_path / "checkpoint" / ".writing-epoch_2.weights.h5"
    half.write_bytes(b"half")
    assert checkpoint.Checkpoint(tmp_path).restore(make()) == 1


def test_history_row_without_its_checkpoint_is_dropped(make, tmp_path, batch):
    fit(make(), checkpoint.Checkpoint(tmp_path), 1, batch)
    rows = checkpoint.read_history(tmp_path)
    checkpoint.write_history(tmp_path, [*rows, {"epoch": 1, "loss": 3.0}])
    saver = checkpoint.Checkpoint(tmp_path)
    assert saver.restore(make()) == 1
    assert saver.rows == rows


def test_damaged_checkpoint(make, tmp_path, batch):
    fit(make(), checkpoint.Checkpoint(tmp_path), 1, batch)
    path = tmp_path / "checkpoint" / "epoch_1.weights.h5"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="is damaged .* Remove"):
        checkpoint.Checkpoint(tmp_path).restore(make())


def test_removal(make, tmp_path, batch):
    saver = checkpoint.Checkpoint(tmp_path)
    fit(make(), saver, 1, batch)
    checkpoint.remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_history_keeps_blanks_out(tmp_path):
    rows = [
        {"epoch": 0, "loss": 0.5, "loss/tap_1": 0.25},
        {"epoch": 1, "loss": 0.125, "loss/task": 1e-7},
    ]
    checkpoint.write_history(tmp_path, rows)
    assert checkpoint.read_history(tmp_path) == rows
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header == "epoch,loss,loss/tap_1,loss/task"


def test_what_an_epoch_does_not_compute_is_blank(tmp_path):
    saver = checkpoint.Checkpoint(tmp_path)
    saver.set_model(keras.Model(image := keras.Input((1,)), image))
    saver.on_epoch_begin(0)
    # A loss that is no number is kept.
    logs = {"loss": float("nan"), "loss/task": NOT_COMPUTED}
    saver.on_epoch_end(0, logs)
    (row,) = checkpoint.read_history(tmp_path)
    assert set(row) == {"epoch", "seconds", "loss"}


def test_seconds_are_measured(make, tmp_path, batch):
    saver = checkpoint.Checkpoint(tmp_path)
    assert isinstance(saver, keras.callbacks.Callback)
    fit(make(), saver, 1, batch)
    assert 0 < saver.rows[0]["seconds"] < 60
