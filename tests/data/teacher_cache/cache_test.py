import json
import logging
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import indistill_tf
from indistill_tf import data
from indistill_tf import methods
from indistill_tf import models
from indistill_tf.data.teacher_cache import building
from indistill_tf.data.teacher_cache import shards
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError

SHORT = Curriculum(a=1, b=0)  # one epoch a tap
SIZE = 96


def targets(distiller):
    return data.Targets(distiller.target_names, distiller.teacher_view)


@pytest.fixture
def split(small_images):
    train = small_images.train
    return data.Split(train.images[:SIZE], train.labels[:SIZE])


@pytest.fixture
def teacher(build):
    return build("cnn_a")


@pytest.fixture
def distil(teacher, split):
    def distil(method="indistill", student="cnn_s", teacher=teacher, **changes):
        if method == "indistill":
            changes.setdefault("schedule", SHORT)
        # Statistics of a batch are no function of one image.
        changes.setdefault("batch_norm", "carry")
        changes.setdefault("objective", "retrieval")
        distiller = indistill_tf.Distiller(
            teacher=teacher,
            student=models.build(student, (32, 32, 1), 10),
            method=methods.get(method, **changes),
            train_labels=split.labels,
        )
        distiller.compile("adam")
        return distiller

    return distil


@pytest.fixture
def opened(tmp_path, split, small_images):
    """Opens the cache of a distiller in one folder."""

    def opened(distiller, views=2, folder=tmp_path / "cache"):
        return data.TeacherCache(
            folder,
            split,
            small_images.preprocessing,
            data.Views(views),
            targets(distiller),
        )

    return opened


@pytest.fixture
def computed(monkeypatch):
    """The shards that the teacher was run for, as (view, names)."""
    parts = []
    build = building._build_part

    def build_part(part, shards, step):
        parts.append((part[0], sorted(shards)))
        build(part, shards, step)

    monkeypatch.setattr(building, "_build_part", build_part)
    return parts


TARGETS = ["embedding", "tap_1-8-carry", "tap_2-16-carry", "tap_3-32-carry"]


def batches(
    cache, images, count, batch_size=32, first_epoch=0, sample_ids=False
):
    stream = data.training_batches(
        cache._split,
        images.preprocessing,
        data.Order(batch_size, 0, first_epoch),
        data.Crop(),
        sample_ids=sample_ids,
        cache=cache,
    )
    return list(stream.take(count))


def test_targets_are_the_live_teachers_on_the_same_pixels(
    distil, opened, small_images
):
    distiller = distil()
    cache = opened(distiller)
    names = distiller.target_names()
    assert sorted(names) == TARGETS
    view = distiller.teacher_view(names)
    # Of 3 batches an epoch; each of the four epochs reads one target.
    stream = batches(cache, small_images, 12)
    for epoch, name in enumerate(names):
        for x, _ in stream[3 * epoch : 3 * epoch + 3]:
            live = view(x["image"], training=False)[name].numpy()
            kept = x["targets"][name].numpy()
            assert kept.dtype == "float16"
            np.testing.assert_allclose(kept, live, rtol=1e-3, atol=1e-4)
            others = set(names) - {name}
            assert all(x["targets"][n].numpy().size == 0 for n in others)
            assert all(len(x["targets"][n]) == 32 for n in others)


@pytest.mark.parametrize(
    "method, epochs",
    [
        ("indistill", [0, 3]),
        ("fsp", [0]),
        ("factor_transfer", [0, 6]),
        ("crd", [0]),
        ("srrl", [0]),
        ("hints", [12]),
    ],
)
def test_a_step_equals_one_with_the_live_teacher(
    distil, opened, small_images, method, epochs
):
    few = {"num_negatives": 16} if method == "crd" else None
    distiller = distil(method, supervised_weight=1.0, task_options=few)
    cache = opened(distiller)
    for epoch in epochs:
        distiller.set_epoch(epoch)
        ((x, labels),) = batches(
            cache, small_images, 1, first_epoch=epoch, sample_ids=True
        )
        live = {name: x[name] for name in ("image", "sample_id")}
        distiller.build_optimizer()
        start = [variable.numpy() for variable in distiller.variables]
        logs = []
        for given in (x, live):
            for variable, value in zip(distiller.variables, start):
                variable.assign(value)
            distiller.reset_metrics()
            # Operation by operation: two steps are not worth a compilation.
            metrics = distiller.train_step((given, labels))
            logs.append({name: float(value) for name, value in metrics.items()})
        assert logs[0] == pytest.approx(logs[1], rel=1e-3)


def test_no_teacher_in_the_step(distil, opened, small_images):
    distiller = distil("okd")
    ((x, labels),) = batches(opened(distiller), small_images, 1)
    layer = distiller.teacher_view().get_layer("conv1")
    calls = []
    layer.call = lambda *args, **kwargs: calls.append(1)
    distiller.train_on_batch(x, labels)
    assert not calls


def test_computed_once_and_shared_by_what_is_the_same(distil, opened, computed):
    opened(distil())
    assert computed == [(0, TARGETS), (1, TARGETS)]
    computed.clear()
    opened(distil())
    opened(distil("pkt"))
    assert computed == []
    # The unpruned map of a student of the teacher's widths is another one.
    opened(distil(student="cnn_a"))
    own = ["tap_1", "tap_2", "tap_3"]
    assert computed == [(0, own), (1, own)]
    computed.clear()
    # More views keep the first; another seed of the run changes nothing.
    opened(distil("pkt"), views=3)
    assert computed == [(2, ["embedding"])]


def test_another_teacher_or_other_images_share_nothing(
    distil, opened, computed, tmp_path, split, small_images
):
    opened(distil("okd"), views=1)
    other = models.build("cnn_a", (32, 32, 1), 10)
    opened(distil("okd", teacher=other), views=1)
    assert len(computed) == 2
    kernel = distil("okd").teacher_view().get_layer("conv1").kernel
    kernel.assign(kernel * 1.001)
    opened(distil("okd"), views=1)
    assert len(computed) == 3
    images = split.images.copy()
    images[5, 16, 16] ^= 1
    changed = data.Split(images, split.labels)
    for images, views in (
        (changed, data.Views(1)),
        (split, data.Views(1, data.Crop(padding=3))),
        (split, data.Views(1, data.Crop(flip=False))),
    ):
        data.TeacherCache(
            tmp_path / "cache",
            images,
            small_images.preprocessing,
            views,
            targets(distil("okd")),
        )
    assert len(computed) == 6


def flip_a_byte(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def truncate(path, _):
    path.write_bytes(path.read_bytes()[:-7])


def swap_types(path, _):
    np.save(path, np.load(path).astype("float32"))


@pytest.mark.parametrize(
    "damage, place",
    [
        (flip_a_byte, -1),
        (flip_a_byte, 1000),
        (flip_a_byte, 0),
        (truncate, None),
        (swap_types, None),
    ],
)
def test_damaged_files_are_computed_again(
    distil, opened, computed, tmp_path, caplog, damage, place
):
    opened(distil())
    (path,) = (tmp_path / "cache").glob("tap_2*/view_1*.npy")
    content = path.read_bytes()
    damage(path, place)
    assert path.read_bytes() != content
    computed.clear()
    with caplog.at_level(logging.INFO, "indistill_tf"):
        opened(distil())
    assert computed == [(1, ["tap_2-16-carry"])]
    assert "is damaged in 1 of 2 files" in caplog.text
    np.testing.assert_allclose(
        np.load(path),
        np.frombuffer(content[-np.load(path).nbytes :], "float16").reshape(
            np.load(path).shape
        ),
        rtol=1e-2,
        atol=1e-4,
    )
    computed.clear()
    opened(distil())
    assert computed == []


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{", "damaged"),
        ("[1]", "damaged"),
        (None, "stale"),
    ],
)
def test_manifest_of_something_else(
    distil, opened, computed, tmp_path, caplog, text, reason
):
    opened(distil("okd"))
    (path,) = (tmp_path / "cache").glob("logits*/manifest.json")
    if text is None:
        manifest = json.loads(path.read_text())
        manifest["key"]["teacher"] = "another"
        text = json.dumps(manifest)
    path.write_text(text)
    computed.clear()
    with caplog.at_level(logging.INFO, "indistill_tf"):
        opened(distil("okd"))
    assert computed == [(0, ["logits"]), (1, ["logits"])]
    assert f"is {reason}" in caplog.text


def test_an_interrupted_build_goes_on(distil, opened, computed, monkeypatch):
    narrowed = building._narrowed
    calls = []

    def fails(values, name):
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return narrowed(values, name)

    with monkeypatch.context() as patched:
        patched.setattr(building, "_narrowed", fails)
        with pytest.raises(KeyboardInterrupt):
            opened(distil("okd"))
    computed.clear()
    opened(distil("okd"))
    assert computed == [(1, ["logits"])]


def test_several_shards_a_view(distil, opened, small_images, monkeypatch):
    monkeypatch.setattr(shards, "ROWS", 40)
    distiller = distil("okd")
    cache = opened(distiller, views=3)
    files = [len(s._arrays) for s in cache._shards.values()]
    assert files == [9]
    ((x, _),) = batches(cache, small_images, 1, batch_size=SIZE)
    live = distiller.teacher_view()(x["image"], training=False).numpy()
    np.testing.assert_allclose(
        x["targets"]["logits"], live, rtol=1e-3, atol=1e-4
    )


def test_a_disk_that_is_too_small(distil, opened, monkeypatch):
    usage = shutil._ntuple_diskusage(10**9, 10**9 - 30_000, 30_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    # 96 images, 10 logits, 2 bytes: 1920 a view, of which 19 are missing.
    opened(distil("okd"), views=1)
    with pytest.raises(UserError, match="needs 0.04 MB and .* 0.03 MB left"):
        opened(distil("okd"), views=20)


def test_values_beyond_float16(distil, opened, teacher):
    bias = teacher.get_layer("fc2").bias
    bias.assign(bias + 7e4)
    with pytest.raises(UserError, match="'logits' reaches 7e[+]04"):
        opened(distil("okd"))


@pytest.mark.parametrize(
    "method, changes, message",
    [
        ("hsakd", {}, "each image in four rotations"),
        ("indistill", {"batch_norm": "batch_statistics"}, "batch_norm=carry"),
    ],
)
def test_what_is_no_function_of_one_image(distil, method, changes, message):
    with pytest.raises(UserError, match=message):
        distil(method, **changes).target_names()


def test_images_in_files(distil):
    files = data.EncodedSplit(None, 3, (32, 32))
    with pytest.raises(UserError, match="these stay in their files"):
        data.check_cacheable(files, targets(distil("okd")))


def test_images_augmented_in_another_way(distil, opened, small_images):
    cache = opened(distil("okd"))
    with pytest.raises(UserError, match="augmented by Crop.padding=4.*not by"):
        data.training_batches(
            cache._split,
            small_images.preprocessing,
            data.Order(32, 0),
            data.Crop(2),
            cache=cache,
        )


def test_targets_that_the_data_lack(distil, batch):
    distiller = distil("okd")
    x = {"image": batch[0], "targets": {"embedding": np.zeros((64, 128))}}
    with pytest.raises(UserError, match="without 'logits', which 'task' needs"):
        distiller.train_on_batch(x, batch[1])


@pytest.mark.slow
def test_replicas(opened, mirrored, small_images):
    one, several = (
        train(strategy, opened, small_images)
        for strategy in (tf.distribute.get_strategy(), mirrored)
    )
    assert one == pytest.approx(several, rel=1e-3)


def train(strategy, opened, images):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        networks = [
            models.build(name, (32, 32, 1), 10, synchronized=True)
            for name in ("cnn_a", "cnn_s")
        ]
        distiller = indistill_tf.Distiller(
            teacher=networks[0],
            student=networks[1],
            method=methods.get(
                "indistill",
                objective="retrieval",
                schedule=SHORT,
                batch_norm="carry",
            ),
        )
        distiller.compile("sgd")
    cache = opened(distiller)
    stream = data.training_batches(
        cache._split,
        images.preprocessing,
        data.Order(32, 0, drop_remainder=True),
        data.Crop(),
        cache=cache,
    )
    logs = distiller.fit(
        stream, epochs=4, steps_per_epoch=3, verbose=0, shuffle=False
    )
    return logs.history["loss"]


_BUILDER = """
import sys
import keras
import indistill_tf
from indistill_tf import data, models

keras.utils.set_random_seed(0)
images = data.load(train_split="train[:96]", test_split="test[:8]")
teacher, student = (
    models.build(name, (32, 32, 1), 10) for name in ("cnn_a", "cnn_s")
)
method = indistill_tf.methods.get(
    "indistill", objective="retrieval", batch_norm="carry"
)
distiller = indistill_tf.Distiller(
    teacher=teacher, student=student, method=method
)
data.TeacherCache(
    sys.argv[1],
    images.train,
    images.preprocessing,
    data.Views(2),
    data.Targets(distiller.target_names, distiller.teacher_view),
)
"""


@pytest.mark.slow
def test_two_processes_at_once(tmp_path):
    folders = [tmp_path / "shared", tmp_path / "shared", tmp_path / "alone"]
    processes = [
        subprocess.Popen([sys.executable, "-c", _BUILDER, str(folder)])
        for folder in folders
    ]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    contents = [
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in folders[1:]
    ]
    # Four endpoints of two views, a manifest each, and the lock.
    assert len(contents[0]) == 4 * 3 + 1
    assert contents[0] == contents[1]


def constant_targets():
    """Logits of a network that has the same weights on every machine."""
    inputs = keras.Input((8, 8, 3))
    logits = keras.layers.Dense(2, kernel_initializer="ones")
    logits = logits(keras.layers.Flatten()(inputs))
    teacher = keras.Model(inputs, logits)
    view = keras.Model(inputs, {"logits": logits})
    return data.Targets(
        names=lambda epoch: ("logits",),
        model=lambda names: teacher if names is None else view,
    )


@pytest.mark.parametrize(
    "crop, folder",
    [
        (data.Crop(), "logits_7821f7f25359f104"),
        (data.Crop(padding=1), "logits_a33882181460b4e8"),
    ],
)
def test_caches_of_earlier_versions_are_found(tmp_path, crop, folder):
    pixels = np.arange(30 * 8 * 8 * 3).reshape(30, 8, 8, 3) % 251
    data.TeacherCache(
        tmp_path,
        data.Split(pixels.astype("uint8"), np.arange(30, dtype="int32")),
        data.Preprocessing((8, 8), (0.5,) * 3, (0.25,) * 3),
        data.Views(2, crop),
        constant_targets(),
    )
    assert [path.parent.name for path in tmp_path.glob("*/*.json")] == [folder]
