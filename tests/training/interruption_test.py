"""Trainings that end within an epoch, and go on there."""

import os
import signal

import numpy as np
import pytest

from indistill_tf import distribution
from indistill_tf.errors import UserError
from indistill_tf.training import Distillation
from indistill_tf.training import Hop
from indistill_tf.training import Network
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training import checkpoint
from indistill_tf.training import history
from indistill_tf.training import hop
from indistill_tf.training import interruption
from indistill_tf.training import snapshots
from indistill_tf.training.snapshots import Position

# 600 images: ten steps an epoch.
RECIPE = Recipe(epochs=4, drop_epochs=(2,), batch_size=64)
STEPS = 2
NAME = "on_train_batch_begin"


class Killed(BaseException):
    pass


@pytest.fixture
def run(build, small_images, unscored):
    teacher = build("cnn_a")

    def run(folder, method=None, **options):
        step = Hop(
            Network(lambda: build("cnn_s")),
            RECIPE,
            method and Distillation(method),
        )
        options = {"checkpoint_steps": STEPS, **options}
        return hop.run_hop(
            Run(folder, small_images, **options), step, method and teacher
        )

    return run


@pytest.fixture
def at_step(monkeypatch):
    """Does something before a step of an epoch, both counted from 0."""

    def at_step(epoch, step, do):
        begins = checkpoint.Checkpoint.on_train_batch_begin

        def on_train_batch_begin(self, batch, logs=None):
            if (self._epoch, self._begun.step + batch) == (epoch, step):
                monkeypatch.setattr(checkpoint.Checkpoint, NAME, begins)
                do()
            begins(self, batch, logs)

        monkeypatch.setattr(checkpoint.Checkpoint, NAME, on_train_batch_begin)

    return at_step


def kill():
    raise Killed


def assert_equal_runs(folder, other):
    (first, result), (second, again) = folder, other
    for mine, theirs in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert result["checksum"] == again["checksum"]


def logged(folder):
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in history.read_history(folder)
    ]


# The first restarts its optimizer as epoch 1 begins; the second has a bank.
@pytest.mark.parametrize(
    "method",
    [
        pytest.param("indistill", marks=pytest.mark.long),
        pytest.param("crd", marks=pytest.mark.long),
        None,
    ],
)
def test_killed_within_an_epoch(
    run, at_step, tmp_path, caplog, shortened, method
):
    row = method and shortened(method)
    # More steps are one call of the compiled function here.
    expected = run(tmp_path / "a", row, checkpoint_steps=None)
    at_step(1, 6, kill)
    with pytest.raises(Killed):
        run(tmp_path / "b", row)
    # What was saved before step 4 is done.
    found = list(snapshots.found(tmp_path / "b"))
    assert found == [Position(1, 4), Position(1, 2)]
    with caplog.at_level("INFO", "indistill_tf"):
        again = run(tmp_path / "b", row)
    said = "student: training goes on at epoch 2, step 5, to epoch 4"
    assert said in caplog.messages
    assert_equal_runs(expected, again)
    assert logged(tmp_path / "a") == logged(tmp_path / "b")


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)],
)
def test_a_signal_saves_and_ends(run, at_step, tmp_path, number):
    expected = run(tmp_path / "a")
    at_step(2, 6, lambda: os.kill(os.getpid(), number))
    with pytest.raises(interruption.Interrupted) as raised:
        run(tmp_path / "b", checkpoint_steps=4)
    assert raised.value.number == number
    assert next(iter(snapshots.found(tmp_path / "b"))) == Position(2, 6)
    # Handlers are what they were.
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert_equal_runs(expected, run(tmp_path / "b", checkpoint_steps=4))


def test_the_second_signal_does_not_wait():
    pending = interruption.Pending()
    pending.note(signal.SIGINT)
    with pytest.raises(interruption.Interrupted, match="SIGTERM"):
        pending.note(signal.SIGTERM)


@pytest.fixture
def two_workers(monkeypatch):
    """Answers of another worker: its signal, and its seconds a call."""
    other, asked = [0, 0], []

    def gather(rows):
        asked.append(rows[0, 0])
        return np.concatenate([rows, [other]])

    def answers(*values):
        other[:] = values
        return asked

    monkeypatch.setattr(distribution, "workers", lambda: 2)
    monkeypatch.setattr(distribution, "gathering", lambda: gather)

    return answers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_ends_all(two_workers, number):
    pending = interruption.Pending()
    # The other one is slower and decides: five calls in five seconds.
    asked = two_workers(0, 1.0)
    found = [pending.anywhere() for _ in range(9)]
    assert (found, asked) == ([None] * 9, [0, 0])
    two_workers(number, 1.0)
    assert [pending.anywhere() for _ in range(2)] == [None, number]
    # Nothing has come to this one.
    assert pending.number is None


def test_what_came_here_is_said_in_time(two_workers):
    pending, asked = interruption.Pending(), two_workers(0, 1e-3)
    assert pending.anywhere() is None
    pending.note(signal.SIGTERM)
    assert pending.anywhere() is None
    # As training ends it is asked in any case.
    assert pending.anywhere(now=True) == signal.SIGTERM
    assert asked == [0, signal.SIGTERM]


@pytest.mark.long
def test_back_to_the_last_checkpoint(run, at_step, tmp_path, monkeypatch):
    model = []
    sets = checkpoint.Checkpoint.set_model
    monkeypatch.setattr(
        checkpoint.Checkpoint,
        "set_model",
        lambda self, it: (model.append(it), sets(self, it)),
    )

    def spoil():
        model[-1].optimizer.learning_rate.assign(float("nan"))

    at_step(1, 6, spoil)
    with pytest.raises(UserError, match="finite after|became nan"):
        run(tmp_path / "a")
    at_step(1, 6, spoil)
    _, result = run(tmp_path / "b", on_nan="restore")
    assert len(result["restored"]) == 1
    rates = [
        row["learning_rate"] for row in history.read_history(tmp_path / "b")
    ]
    # Half from where it happened on; in the last two epochs it has dropped.
    np.testing.assert_allclose(rates, [1e-3, 5e-4, 5e-5, 5e-5], 1e-6)


# Also where training has come some way before.
@pytest.mark.parametrize("sound", [0, 1])
def test_a_recipe_that_is_wrong_stops_in_the_end(
    run, tmp_path, monkeypatch, caplog, sound
):
    def rate(self, epoch):
        return 1e-3 if epoch < sound else float("nan")

    monkeypatch.setattr(Recipe, "rate", rate)
    with caplog.at_level("WARNING", "indistill_tf"):
        with pytest.raises(UserError, match="no longer finite|became nan"):
            run(tmp_path, on_nan="restore", checkpoint_steps=None)
    said = [text for text in caplog.messages if "half the learning" in text]
    assert [text[-15:] for text in said] == [
        f"({number} of 3 times)." for number in (1, 2, 3)
    ]
    assert next(iter(snapshots.whole(tmp_path))) == Position(sound)
