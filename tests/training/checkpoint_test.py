import resource

import keras
import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.distillation.schedules import NOT_COMPUTED
from indistill_tf.errors import UserError
from indistill_tf.training import checkpoint
from indistill_tf.training import history
from indistill_tf.training import snapshots
from indistill_tf.training.snapshots import Position


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
        initial_epoch=saver.restore(model).epoch,
        callbacks=[saver],
        verbose=0,
        shuffle=False,
    )


def names(folder):
    return sorted(path.name for path in (folder / "checkpoint").iterdir())


def values(model):
    return [
        variable.numpy()
        for variable in model.variables + model.optimizer.variables
    ]


def flip(path, byte, bit):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def test_state_comes_back(make, tmp_path, batch):
    first = make()
    fit(first, checkpoint.Checkpoint(tmp_path), 3, batch)
    # The last two.
    assert names(tmp_path) == ["epoch_2", "epoch_3"]
    second, saver = make(), checkpoint.Checkpoint(tmp_path)
    assert saver.restore(second) == Position(3)
    for mine, theirs in zip(values(first), values(second), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [row["epoch"] for row in saver.rows] == [0, 1, 2]


def test_without_a_checkpoint_it_starts_at_0(make, tmp_path):
    assert checkpoint.Checkpoint(tmp_path).restore(make()) == Position(0)


def test_half_written_checkpoint_is_not_taken(make, tmp_path, batch):
    saver = checkpoint.Checkpoint(tmp_path)
    fit(make(), saver, 1, batch)
    half = tmp_path / "checkpoint" / ".writing-epoch_2"
    half.mkdir()
    (half / "model.weights.h5").write_bytes(b"half")
    found = checkpoint.Checkpoint(tmp_path).restore(make())
    assert found == Position(1)
    saver.save(make(), Position(2))
    assert names(tmp_path) == ["epoch_1", "epoch_2"]


def test_the_history_is_the_checkpoints(make, tmp_path, batch):
    fit(make(), checkpoint.Checkpoint(tmp_path), 1, batch)
    rows = history.read_history(tmp_path)
    path = tmp_path / "history.csv"
    for damaged in ("epoch,loss\n0,3.0\n1,2.0\n", "", "\0"):
        path.write_text(damaged)
        saver = checkpoint.Checkpoint(tmp_path)
        assert saver.restore(make()) == Position(1)
        assert saver.rows == rows
        assert history.read_history(tmp_path) == rows


FILES = ("model.weights.h5", "history.csv", "state.json", "SHA256SUMS")


@pytest.mark.parametrize("name", FILES)
def test_one_bit_is_noticed(make, tmp_path, batch, caplog, name):
    model, random = make(), np.random.default_rng(0)
    fit(model, checkpoint.Checkpoint(tmp_path), 2, batch)
    path = tmp_path / "checkpoint" / "epoch_2" / name
    whole = path.read_bytes()
    for _ in range(20):
        path.write_bytes(whole)
        assert len(snapshots.whole(tmp_path)) == 2
        flip(path, random.integers(len(whole)), random.integers(8))
        (left,) = snapshots.whole(tmp_path)
        assert left == Position(1)
    path.unlink()
    assert checkpoint.Checkpoint(tmp_path).restore(make()) == Position(1)
    assert caplog.messages[-1] == f"{path.parent} is damaged and passed over"


def test_training_goes_on_from_the_one_before(make, tmp_path, batch):
    undisturbed = make()
    fit(undisturbed, checkpoint.Checkpoint(tmp_path), 3, batch)
    folder = tmp_path / "checkpoint" / "epoch_3"
    flip(folder / "model.weights.h5", 4000, 3)
    again = make()
    fit(again, checkpoint.Checkpoint(tmp_path), 3, batch)
    for mine, theirs in zip(values(undisturbed), values(again), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # The damaged one was replaced.
    assert len(snapshots.whole(tmp_path)) == 2


def test_no_checkpoint_is_whole(make, tmp_path, batch):
    fit(make(), checkpoint.Checkpoint(tmp_path), 2, batch)
    for path in (tmp_path / "checkpoint").glob("*/state.json"):
        path.write_text("{}")
    with pytest.raises(UserError, match="No checkpoint .* is whole. Remove"):
        checkpoint.Checkpoint(tmp_path).restore(make())


def test_checkpoint_of_another_network(make, tmp_path, batch):
    fit(make(), checkpoint.Checkpoint(tmp_path), 1, batch)
    other = models.build("cnn_s_2", (32, 32, 1), 7)
    with pytest.raises(UserError, match="epoch_1 does not fit or is damaged"):
        checkpoint.Checkpoint(tmp_path).restore(other)


def test_checkpoint_of_an_earlier_version(make, tmp_path, batch):
    first = make()
    first.fit(*batch, verbose=0)
    (tmp_path / "checkpoint").mkdir()
    first.save_weights(tmp_path / "checkpoint" / "epoch_1.weights.h5")
    rows = [{"epoch": 0, "loss": 2.5}, {"epoch": 1, "loss": 2.25}]
    history.write_history(tmp_path, rows)
    second, saver = make(), checkpoint.Checkpoint(tmp_path)
    assert saver.restore(second) == Position(1)
    for mine, theirs in zip(values(first), values(second), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert saver.rows == rows[:1]


def test_removal(make, tmp_path, batch):
    saver = checkpoint.Checkpoint(tmp_path)
    fit(make(), saver, 1, batch)
    snapshots.remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_full_disk(make, tmp_path, batch):
    fit(make(), checkpoint.Checkpoint(tmp_path), 1, batch)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(
            UserError, match="epoch_2 cannot be written .*whole"
        ):
            fit(make(), checkpoint.Checkpoint(tmp_path), 2, batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["epoch_1"]
    assert checkpoint.Checkpoint(tmp_path).restore(make()) == Position(1)


def test_what_an_epoch_does_not_compute_is_blank(tmp_path):
    saver = checkpoint.Checkpoint(tmp_path)
    model = keras.Model(image := keras.Input((1,)), image)
    model.compile("sgd")
    saver.set_model(model)
    saver.on_epoch_begin(0)
    # A loss that is no number is kept.
    logs = {"loss": float("nan"), "loss/task": NOT_COMPUTED}
    saver.on_epoch_end(0, logs)
    (row,) = history.read_history(tmp_path)
    assert set(row) == {"epoch", "seconds", "loss"}


def test_seconds_are_measured(make, tmp_path, batch):
    saver = checkpoint.Checkpoint(tmp_path)
    assert isinstance(saver, keras.callbacks.Callback)
    fit(make(), saver, 1, batch)
    assert 0 < saver.rows[0]["seconds"] < 60
