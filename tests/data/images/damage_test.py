"""Prepared sets that are not whole: which file, and what to do."""

import pathlib
import shutil

import pytest

from indistill_tf import data
from indistill_tf import training
from indistill_tf.data.images import damage
from indistill_tf.errors import UserError
from indistill_tf.training import hop

RECIPE = training.Recipe(epochs=1, drop_epochs=(), batch_size=16)


@pytest.fixture
def load_copy(tiny_sets, array_records, tmp_path):
    """Copies a tiny set, harms a file of it and loads it."""

    def load_copy(harm, name="imagenet2012", array=False, **options):
        folder = array_records if array else tiny_sets
        if not (tmp_path / name).exists():
            shutil.copytree(folder / name, tmp_path / name)
        # The second shard, or the only one.
        files = sorted((tmp_path / name).glob("*/*train*record*"))
        harm(files[min(1, len(files) - 1)])
        return data.load(name, tmp_path, image_size=32, **options)

    return load_copy


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def spoil_record(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm, message",
    [
        (remove, "train.tfrecord-00001-of-00005 is missing from"),
        (empty, "train.tfrecord-00001-of-00005 is empty"),
        (cut, "train.tfrecord-00001-of-00005 is cut off: it holds"),
    ],
)
def test_shards_that_are_not_whole(load_copy, harm, message):
    with pytest.raises(UserError, match=message) as caught:
        load_copy(harm)
    assert "Copy it again, or prepare the set again." in str(caught.value)


def test_files_that_are_not_used_need_not_be_there(load_copy):
    images = load_copy(remove, train_split="train[:5]")
    assert len(images.train) == 5


def test_a_set_in_memory_is_checked_too(load_copy):
    with pytest.raises(UserError, match="cifar10-train.* is cut off"):
        load_copy(cut, name="cifar10")


def test_damaged_record_of_a_set_in_memory(load_copy):
    with pytest.raises(UserError, match="cifar10-train.* is damaged: its imag"):
        load_copy(spoil_record, name="cifar10")


@pytest.mark.parametrize("array", [False, True])
def test_damage_is_met_in_training(load_copy, tmp_path, array):
    images = load_copy(spoil_record, array=array)
    with pytest.raises(UserError, match="00001-of-0000. is damaged") as caught:
        training.run_hop(
            training.Run(tmp_path / "run", images),
            training.Hop(training.Network("cnn_s"), RECIPE),
        )
    assert "\n" not in str(caught.value)


def test_image_that_cannot_be_decoded(photographs, tmp_path):
    folder = tmp_path / "photographs"
    shutil.copytree(photographs, folder)
    damaged = sorted(folder.glob("train/cat/*.JPEG"))[2]
    damaged.write_bytes(damaged.read_bytes()[:30])
    images = data.load(
        "folder",
        folder,
        image_size=32,
        augmentation="random_resized_crop",
    )
    with (
        pytest.raises(UserError, match=damaged.name) as caught,
        data.naming_damage(images.train),
    ):
        list(
            data.training_batches(
                images.train,
                images.preprocessing,
                data.Order(4, 0, epochs=1),
                data.RandomResizedCrop(),
            )
        )
    assert str(pathlib.Path("cat") / damaged.name) in str(caught.value)


@pytest.mark.parametrize("split", ["test", "train[90%:]"])
def test_an_image_that_is_measured_is_decoded_before_training(
    photographs, tmp_path, monkeypatch, split
):
    folder = tmp_path / "photographs"
    shutil.copytree(photographs, folder)
    options = dict(image_size=32, augmentation="random_resized_crop")
    splits = dict(train_split="train[:90%]", validation_split=split)
    images = data.load("folder", folder, **options, **splits)
    measured = images.validation
    images.check_measured()
    (damaged,) = [
        pathlib.Path(name) for name, _ in list(measured.records.files())[-1:]
    ]
    damaged.write_bytes(damaged.read_bytes()[:30])
    # Once in a process: a chain of networks asks for each of them.
    images.check_measured()
    images = data.load("folder", folder, **options, **splits)
    monkeypatch.setattr(hop, "fit_on", None)
    for train in (
        lambda run: training.run_hop(run, training.Hop("cnn_s", RECIPE)),
        lambda run: training.run_chain(run, training.Chain("cnn_s", "cnn_s")),
    ):
        with pytest.raises(UserError, match=damaged.name) as caught:
            train(training.Run(tmp_path / "run", images))
        assert "\n" not in str(caught.value)


def test_errors_of_another_origin_stay(load_encoded):
    import tensorflow as tf

    images = load_encoded("tfrecord")
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="of the model"),
        data.naming_damage(images.train, None),
    ):
        raise tf.errors.InvalidArgumentError(None, None, "of the model")


def test_search_gives_up(load_encoded):
    damage.search(load_encoded("tfrecord").test.records, 3, seconds=0)


@pytest.mark.parametrize("name", ["imagenet2012", "cifar10"])
def test_empty_slices(tiny_sets, name):
    with pytest.raises(UserError, match=r"'train\[:0\]' .* holds no image"):
        data.load(name, tiny_sets, train_split="train[:0]")


def test_formats_that_cannot_stay_in_their_files():
    with pytest.raises(UserError, match="embedded set holds pixels, not image"):
        data.load(augmentation="random_resized_crop")
    with pytest.raises(UserError, match="Unknown augmentation: 'cut'"):
        data.load(augmentation="cut")


def test_images_of_another_kind(tmp_path):
    import numpy as np
    import tensorflow_datasets as tfds

    features = {
        "image": tfds.features.Image(shape=(4, 4, 1), dtype=np.uint16),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    row = {"image": np.zeros((4, 4, 1), "uint16"), "label": 0}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="deep",
        config="plain",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={"train": [(0, row)], "test": [(0, row)]},
        data_dir=tmp_path,
    )
    with pytest.raises(UserError, match="uint16 with 1 channels; expected"):
        data.load("deep/plain", tmp_path)


def test_a_set_that_is_not_prepared_to_its_end(tmp_path):
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
    with pytest.raises(UserError, match="not prepared to its end. Delete"):
        data.load("cifar10", tmp_path)


def test_damage_is_met_in_reading_labels(load_copy):
    images = load_copy(spoil_record)
    with pytest.raises(UserError, match="00001-of-00005 is damaged"):
        _ = images.train.labels
    with pytest.raises(UserError, match="00001-of-00005 is damaged"):
        images.train.first_classes(30)
