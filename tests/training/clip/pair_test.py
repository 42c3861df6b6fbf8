import functools
import os
import signal

import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.training import PairChain
from indistill_tf.training import PairDistillation
from indistill_tf.training import PairRecipe
from indistill_tf.training import PairTask
from indistill_tf.training import Towers
from indistill_tf.training import checkpoint
from indistill_tf.training import history
from indistill_tf.training import interruption
from indistill_tf.training import run_pairs
from indistill_tf.training import snapshots
from indistill_tf.training.clip import modules
from indistill_tf.training.clip import pair as pair_lib

pytestmark = pytest.mark.usefixtures("eager")
RECIPE = PairRecipe(epochs=2, batch_size=20, learning_rate=1e-3)


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def teacher(task, tmp_path_factory):
    """The files of two untrained towers of width 16."""
    folder = tmp_path_factory.mktemp("teacher")
    paths = [str(folder / f"{name}.keras") for name in ("image", "text")]
    for tower, path in zip(task.towers("cnn_s", "text_32", 16), paths):
        tower.save(path)
    return paths


def run(folder, task, teacher, recipe=RECIPE, steps=None, **options):
    chain = PairChain(
        Towers(*teacher),
        Towers("cnn_s", "text_32"),
        recipe,
        PairDistillation((100.0,), module_epochs=1, **options),
        checkpoint_steps=steps,
    )
    return run_pairs(folder, task, chain)["student"]


@pytest.mark.long
def test_record_and_resumed_equals_undisturbed(
    task, teacher, tmp_path, monkeypatch
):
    options = dict(information_bottleneck=1e-4)
    expected = run(tmp_path / "a", task, teacher, **options)
    files = {path.name for path in (tmp_path / "a").iterdir()}
    assert files == {
        "history.csv",
        "image_model.keras",
        "modules",
        "result.json",
        "teacher_embeddings.npz",
        "text_model.keras",
    }
    assert expected["scores"].keys() > {
        "zero_shot_accuracy",
        "image_to_text_r@1",
        "text_to_image_r@10",
    }
    assert expected["captions"]["train"] == [40, 160]
    towers = [
        models.load_model(tmp_path / "a" / name) for name in pair_lib.FILES
    ]
    # Neither noise nor density is in what is saved.
    assert [tower.output_shape[-1] for tower in towers] == [16, 16]
    names = [layer.name for tower in towers for layer in tower.layers]
    assert "bottleneck" not in names and names.count("decoder") == 2
    assert (tmp_path / "a" / "modules" / "text.json").exists()
    rows = history.read_history(tmp_path / "a")
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[0]["loss/rate"] > 0
    assert not any("module" in name for name in rows[0])

    def kill(self, epoch, logs=None):
        ended(self, epoch, logs)
        raise Killed

    ended = checkpoint.Checkpoint.on_epoch_end
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Checkpoint, "on_epoch_end", kill)
        with pytest.raises(Killed):
            run(tmp_path / "b", task, teacher, **options)
    # Embeddings and modules are there already, and scores were seen above.
    monkeypatch.setattr(PairTask, "score", lambda *_: {})
    monkeypatch.setattr(modules, "embed", None)
    monkeypatch.setattr(modules, "_train", kill)
    found = run(tmp_path / "b", task, teacher, **options)
    assert found["checksums"] == expected["checksums"]
    monkeypatch.setattr(pair_lib, "_fit", None)
    assert run(tmp_path / "b", task, teacher, **options) == found


# A signal saves by itself.
@pytest.mark.long
@pytest.mark.parametrize(("steps", "number"), [(1, None), (9, signal.SIGTERM)])
def test_ended_within_an_epoch(
    task, teacher, tmp_path, monkeypatch, steps, number
):
    monkeypatch.setattr(
        PairTask, "score", lambda *_: {"zero_shot_accuracy": 1.0}
    )
    options = dict(information_bottleneck=1e-4, steps=steps)
    expected = run(tmp_path / "a", task, teacher, **options)
    begins = checkpoint.Checkpoint.on_train_batch_begin

    def on_train_batch_begin(self, batch, logs=None):
        ends = (self.folder, self._epoch, batch) == (tmp_path / "b", 1, 1)
        if ends and number:
            os.kill(os.getpid(), number)
        begins(self, batch, logs)
        if ends:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(
            checkpoint.Checkpoint, "on_train_batch_begin", on_train_batch_begin
        )
        with pytest.raises(interruption.Interrupted if number else Killed):
            run(tmp_path / "b", task, teacher, **options)
    found = list(snapshots.found(tmp_path / "b"))
    assert found[0] == snapshots.Position(1, 1)
    again = run(tmp_path / "b", task, teacher, **options)
    assert again["checksums"] == expected["checksums"]


def test_damaged_embeddings(task, teacher, tmp_path):
    (tmp_path / "teacher_embeddings.npz").write_bytes(b"damaged")
    with pytest.raises(UserError, match="teacher_embeddings.npz is damaged"):
        run(tmp_path, task, teacher)


def test_what_does_not_fit_is_refused_at_once(task, teacher, tmp_path):
    other = PairTask(task.captions, task.tokenizer, context_length=9)
    with pytest.raises(UserError, match=r"reads \(8,\), but .* bring \(9,\)"):
        run(tmp_path, other, teacher)
    with pytest.raises(UserError, match="Unknown text tower: 'text_0'"):
        run(tmp_path, task, ("cnn_s", "text_0"))
    with pytest.raises(UserError, match="64 of images and 32 of texts"):
        run(tmp_path, task, ("cnn_s", "text_32"))
    with pytest.raises(UserError, match="A batch of 1024 pairs"):
        run(tmp_path, task, teacher, recipe=PairRecipe())
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_weights_of_both_towers_in_one_file(task, tmp_path):
    towers = task.towers("vit_s_16", "text_s", None)
    arrays = functools.reduce(
        dict.__or__, (models.to_state_dict(tower) for tower in towers)
    )
    np.savez(tmp_path / "clip.npz", **arrays)
    again = task.towers("vit_s_16", "text_s", weights=tmp_path / "clip.npz")
    for mine, theirs in zip(again, towers, strict=True):
        for a, b in zip(mine.get_weights(), theirs.get_weights()):
            np.testing.assert_array_equal(a, b)
