import keras
import numpy as np
import pytest

from indistill_tf import data
from indistill_tf import methods
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError
from indistill_tf.training import Distillation
from indistill_tf.training import Hop
from indistill_tf.training import Network
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training import build_network
from indistill_tf.training import checkpoint
from indistill_tf.training import history
from indistill_tf.training import hop
from indistill_tf.training import work_directory
from indistill_tf.training.trainer import make_trainer
from indistill_tf_tools import stand_ins

RECIPE = Recipe(epochs=5, drop_epochs=(4,))
METHOD = methods.get("indistill", schedule=Curriculum(1, 0))


class Killed(BaseException):
    """Stands for the end of the process."""


def run(
    folder,
    build,
    images,
    teacher=None,
    recipe=RECIPE,
    method="indistill",
    information_bottleneck=0.0,
    **options,
):
    taught = Distillation(method, information_bottleneck=information_bottleneck)
    step = Hop(
        Network(lambda: build("cnn_s")), recipe, taught if teacher else None
    )
    return hop.run_hop(Run(folder, images, **options), step, teacher)


def kill_after(monkeypatch, epochs):
    """Ends the run after this many more epochs."""
    save = checkpoint.Checkpoint.on_epoch_end
    left = [epochs]

    def on_epoch_end(self, epoch, logs=None):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        save(self, epoch, logs)

    monkeypatch.setattr(checkpoint.Checkpoint, "on_epoch_end", on_epoch_end)


def run_twice(tmp_path, build, images, monkeypatch, epochs_done, **options):
    """Runs undisturbed, and killed after some epochs and repeated."""
    whole = run(tmp_path / "a", build, images, **options)
    with monkeypatch.context() as patched:
        kill_after(patched, epochs_done)
        with pytest.raises(Killed):
            run(tmp_path / "b", build, images, **options)
    return whole, run(tmp_path / "b", build, images, **options)


@pytest.fixture
def teacher(build):
    return build("cnn_a")


@pytest.mark.parametrize(
    "epochs_done",
    [1, *(pytest.param(done, marks=pytest.mark.slow) for done in (0, 2, 4))],
)
def test_interrupted_and_resumed_equals_undisturbed(
    tmp_path, build, small_images, teacher, monkeypatch, unscored, epochs_done
):
    (expected, _), (found, result) = run_twice(
        tmp_path,
        build,
        small_images,
        monkeypatch,
        epochs_done,
        teacher=teacher,
        method=METHOD,
    )
    for mine, theirs in zip(found.weights, expected.weights):
        np.testing.assert_array_equal(mine, theirs)
    rows = history.read_history(tmp_path / "b")
    assert [row["stage"] for row in rows] == [1, 2, 3, 4, 4]
    assert result["checksum"] == work_directory.checksum(expected)


# What the first trains beside the student must come back too; what the second
# does before the first epoch must not be done again.
OWNERS = ["crd", "closed_form"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.long if name in OWNERS else pytest.mark.slow,
        )
        for name in methods.METHODS
    ],
)
def test_every_row_resumes(
    tmp_path,
    build,
    small_images,
    teacher,
    shortened,
    monkeypatch,
    unscored,
    name,
):
    few = {"num_negatives": 64} if name == "crd" else None
    (_, expected), (_, found) = run_twice(
        tmp_path,
        build,
        small_images,
        monkeypatch,
        2,
        teacher=teacher,
        method=shortened(name, task_options=few),
        recipe=Recipe(epochs=5, batch_size=200),
    )
    assert found["checksum"] == expected["checksum"]


@pytest.mark.long
def test_bottleneck_resumes_and_stays_behind(
    tmp_path, build, small_images, teacher, monkeypatch, unscored
):
    options = dict(
        teacher=teacher,
        method="okd",
        recipe=Recipe(epochs=2, drop_epochs=()),
        information_bottleneck=0.01,
    )
    (student, expected), (_, found) = run_twice(
        tmp_path, build, small_images, monkeypatch, 1, **options
    )
    # The noise goes on where it was.
    assert found["checksum"] == expected["checksum"]
    assert expected["information_bottleneck"] == 0.01
    assert expected["scores"]["parameters"] == 14_906
    assert "bottleneck" not in [layer.name for layer in student.layers]
    without = run(
        tmp_path / "c",
        build,
        small_images,
        **{**options, "information_bottleneck": 0.0},
    )
    assert without[1]["checksum"] != expected["checksum"]


def test_killed_while_scoring(
    tmp_path, build, small_images, teacher, monkeypatch
):
    options = dict(teacher=teacher, method="okd", recipe=Recipe(epochs=1))
    with monkeypatch.context() as patched:
        patched.setattr(
            hop, "score", lambda *_, **__: (_ for _ in ()).throw(Killed)
        )
        with pytest.raises(Killed):
            run(tmp_path, build, small_images, **options)
    before = (tmp_path / "history.csv").read_text()
    _, result = run(tmp_path, build, small_images, **options)
    assert (tmp_path / "history.csv").read_text() == before
    assert result["scores"]["parameters"] == 14_906


def test_finished_hop_is_read_not_trained(
    tmp_path, build, small_images, monkeypatch, unscored
):
    recipe = Recipe(epochs=1)
    model, result = run(tmp_path, build, small_images, recipe=recipe)
    monkeypatch.setattr(hop, "_fit", None)
    again, same = run(tmp_path, build, small_images, recipe=recipe)
    assert same == result
    for mine, theirs in zip(model.weights, again.weights):
        np.testing.assert_array_equal(mine, theirs)
    assert result["method"] is None
    assert result["teacher_checksum"] is None


def test_record(tmp_path, build, small_images, teacher):
    _, result = run(
        tmp_path, build, small_images, teacher=teacher, method="okd"
    )
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {
        *("history.csv", "logs", "evaluation.npz"),
        *("result.json", "model.keras"),
    }
    assert result["teacher_checksum"] == work_directory.checksum(teacher)
    assert result["images"]["train"] == 600
    assert result["seconds_per_epoch"] > 0
    rates = [row["learning_rate"] for row in history.read_history(tmp_path)]
    assert rates == pytest.approx([1e-3] * 4 + [1e-4])


@pytest.mark.parametrize("max_steps, epochs, steps", [(3, 1, 3), (13, 2, 6)])
def test_max_steps(
    tmp_path,
    build,
    small_images,
    monkeypatch,
    unscored,
    max_steps,
    epochs,
    steps,
):
    batches = []
    monkeypatch.setattr(
        checkpoint.Checkpoint,
        "on_train_batch_end",
        lambda self, batch, logs=None: batches.append(batch),
    )
    # 600 images: six batches an epoch, the last of half the size.
    recipe = Recipe(
        epochs=3, drop_epochs=(), batch_size=110, max_steps=max_steps
    )
    _, result = run(tmp_path, build, small_images, recipe=recipe)
    # So few steps are one call of the compiled function.
    assert batches == [steps - 1] * epochs
    assert len(history.read_history(tmp_path)) == epochs
    assert (result["epochs"], result["steps_per_epoch"]) == (epochs, steps)
    assert result["recipe"]["max_steps"] == max_steps
    assert result["seconds_per_step"] == pytest.approx(
        result["seconds_per_epoch"] / steps
    )
    assert result["peak_memory_bytes"] > 50e6
    assert work_directory.read_json(tmp_path / "result.json") == result
    run(tmp_path, build, small_images, recipe=recipe)
    assert len(batches) == epochs


@pytest.mark.slow
def test_seed_decides(tmp_path, build, small_images, unscored):
    recipe = Recipe(epochs=1)
    checksums = [
        run(tmp_path / name, build, small_images, recipe=recipe, seed=seed)[1][
            "checksum"
        ]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert checksums[0] == checksums[1] != checksums[2]


def test_validation_split_is_watched(tmp_path, build, small_images, unscored):
    import dataclasses

    images = dataclasses.replace(small_images, validation=small_images.test)
    run(tmp_path, build, images, recipe=Recipe(epochs=1))
    assert "val_accuracy" in history.read_history(tmp_path)[0]


def test_short_budget_stops_before_training(
    tmp_path, build, small_images, teacher
):
    with pytest.raises(UserError, match=r"3 \+ 4 \+ 5 = 12"):
        run(tmp_path, build, small_images, teacher=teacher)
    assert not (tmp_path / "history.csv").exists()


def test_finished_hop_with_a_damaged_model(
    tmp_path, build, small_images, unscored
):
    run(tmp_path, build, small_images, recipe=Recipe(epochs=1))
    (tmp_path / "model.keras").write_bytes(b"damaged")
    with pytest.raises(UserError, match="model.keras in .* cannot be made"):
        run(tmp_path, build, small_images, recipe=Recipe(epochs=1))


def test_student_learns(tmp_path, build, small_images):
    recipe = Recipe(epochs=6, learning_rate=3e-3, batch_size=32)
    _, result = run(tmp_path, build, small_images, recipe=recipe)
    assert result["scores"]["accuracy"] > 0.5


@pytest.mark.slow
def test_images_in_files_and_labels_only_for_who_asks(tmp_path):
    stand_ins.write_tiny("caltech_birds2011", tmp_path, 24, 8)

    def load():
        return data.load(
            "caltech_birds2011",
            tmp_path,
            image_size=32,
            augmentation="random_resized_crop",
        )

    recipe = Recipe(epochs=1, drop_epochs=(), batch_size=8)
    for method, read in (("okd", False), ("crd", True)):
        images = load()
        teacher, student = (
            build_network(name, images) for name in ("cnn_a", "cnn_s")
        )
        taught = Run(tmp_path, images), recipe, teacher, Distillation(method)
        make_trainer(student, *taught)
        assert ("labels" in images.train.records.__dict__) == read
    _, result = hop.run_hop(
        Run(tmp_path / "run", images),
        Hop(Network("cnn_s"), recipe, Distillation("crd")),
        teacher,
    )
    assert result["images"]["augmentation"] == "random_resized_crop"
    assert 0 <= result["scores"]["accuracy"] <= 1
    assert result["scores"]["retrieval"]


@pytest.mark.slow
def test_with_a_teacher_cache_resumed_equals_undisturbed(
    tmp_path, build, small_images, teacher, monkeypatch
):
    method = methods.get(METHOD, batch_norm="carry")
    options = dict(teacher=teacher, method=method, teacher_cache_views=2)
    cache = dict(teacher_cache=tmp_path / "shared")
    _, live = run(
        tmp_path / "live", build, small_images, teacher=teacher, method=method
    )
    _, expected = run(tmp_path / "a", build, small_images, **options)
    assert (tmp_path / "a" / "teacher_cache").is_dir()
    with monkeypatch.context() as patched:
        kill_after(patched, 2)
        with pytest.raises(Killed):
            run(tmp_path / "b", build, small_images, **options, **cache)
    # Nothing is computed again.
    monkeypatch.setattr(data.TeacherCache, "_build", None)
    _, found = run(tmp_path / "b", build, small_images, **options, **cache)
    assert found["checksum"] == expected["checksum"] != live["checksum"]
    assert found["teacher_cache_views"] == 2
    rows = history.read_history(tmp_path / "b")
    others = history.read_history(tmp_path / "live")
    assert [row["stage"] for row in rows] == [1, 2, 3, 4, 4]
    # Other crops of the same images.
    assert rows[0]["loss"] == pytest.approx(others[0]["loss"], rel=0.1)


def test_what_cannot_be_cached_is_refused_at_once(
    tmp_path, build, small_images, teacher
):
    options = dict(teacher=teacher, teacher_cache_views=2)
    with pytest.raises(UserError, match="four rotations"):
        recipe = Recipe(epochs=20)
        run(
            tmp_path,
            build,
            small_images,
            method="hsakd",
            recipe=recipe,
            **options,
        )
    with pytest.raises(UserError, match="would be the same"):
        recipe = Recipe(epochs=5, padding=0, flip=False)
        run(
            tmp_path,
            build,
            small_images,
            method="pkt",
            recipe=recipe,
            **options,
        )
    assert not any(tmp_path.iterdir())


def test_a_training_that_diverges_keeps_its_last_checkpoint(
    tmp_path, build, small_images, unscored
):
    recipe = Recipe(epochs=2, drop_epochs=(1,), drop_factor=1e34)
    with pytest.raises(UserError, match=r"student: .* of epoch 2"):
        run(tmp_path, build, small_images, recipe=recipe)
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "model.keras").exists()
    (saved,) = (tmp_path / "checkpoint").iterdir()
    assert saved.name == "epoch_1"
    assert len(history.read_history(tmp_path)) == 1
    # It is sound: the epochs left are trained at another rate.
    sound = Recipe(epochs=2, drop_epochs=(1,), drop_factor=0.1)
    run(tmp_path, build, small_images, recipe=sound)
    assert (tmp_path / "result.json").exists()


def test_a_distillation_that_diverges(tmp_path, build, small_images, teacher):
    recipe = Recipe(epochs=2, drop_epochs=(), learning_rate=1e30)
    with pytest.raises(UserError, match=r"student: .* of epoch [12]"):
        run(
            tmp_path,
            build,
            small_images,
            teacher=teacher,
            method="okd",
            recipe=recipe,
        )
    assert not (tmp_path / "result.json").exists()


def test_a_frozen_network_is_not_trained(tmp_path, build, small_images):
    def frozen():
        model = build("cnn_s")
        model.trainable = False
        return model

    step = Hop(Network(frozen), Recipe(epochs=1))
    with pytest.raises(UserError, match="no trainable weight"):
        hop.run_hop(Run(tmp_path, small_images), step)


def test_float16_layers_alone_are_loss_scaled(small_images, tmp_path):
    inputs = keras.Input((32, 32, 1))
    x = keras.layers.Flatten()(inputs)
    outputs = keras.layers.Dense(10, dtype="mixed_float16")(x)
    for network, scaled in (
        (keras.Model(inputs, outputs), True),
        (keras.Model(inputs, keras.layers.Dense(10)(x)), False),
    ):
        trainer = make_trainer(network, Run(tmp_path, small_images), RECIPE)
        optimizer = trainer.model.optimizer
        found = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert found == scaled
        trainer.model.fit(
            np.zeros((4, 32, 32, 1)), np.zeros(4), epochs=1, verbose=0
        )
