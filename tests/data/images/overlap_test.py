import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.data.captions.sets import load_captions
from indistill_tf.data.images import overlap


@pytest.fixture
def warned(caplog):
    """Loads images; returns the warnings."""

    def warned(load=data.load, **options):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            load(**options)
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "indistill_tf"
        ]

    return warned


@pytest.mark.parametrize(
    "train, test, count",
    [
        ("train", "train", 10_000),
        ("train", "train[:5%]", 500),
        ("train[:9000]", "train[90%:]", 0),
        ("train[:9010]", "train[90%:]", 10),
        ("train[100:200]", "train[150:20000]", 50),
        ("test[:100]", "test[99:]", 1),
        ("train", "test", 0),
        ("train[:10]", "test[:10]", 0),
    ],
)
def test_embedded(warned, train, test, count):
    found = warned(train_split=train, test_split=test)
    assert len(found) == bool(count)
    if count:
        words = f"{count} images of {test!r} are trained on too, in {train!r}"
        assert found[0].startswith(words)


def test_validation_and_classes(warned):
    splits = dict(train_split="train[:1000]", validation_split="train[900:]")
    (found,) = warned(**splits)
    assert found.startswith("100 images of 'train[900:]'")
    kept = data.load(train_split="train[900:1000]").train.labels
    (found,) = warned(**splits, classes=3)
    assert found.startswith(f"{sum(kept < 3)} images of 'train[900:]'")


@pytest.fixture
def folder(tmp_path, small_images):
    for first, name in ((0, "shirt"), (5, "trouser")):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(5):
            keras.utils.save_img(
                tmp_path / "train" / name / f"{number}.png",
                small_images.train.images[first + number],
                scale=False,
            )
    (tmp_path / "test").symlink_to("train")
    return tmp_path


@pytest.mark.parametrize("augmentation", ["crop", "random_resized_crop"])
def test_folders(warned, folder, augmentation):
    options = dict(name="folder", data_dir=folder, image_size=32)
    options["augmentation"] = augmentation
    # A folder that is a link to the other holds the same images.
    (found,) = warned(**options)
    assert found.startswith("10 images of 'test' are trained on too")
    splits = dict(train_split="train[:60%]", test_split="train[50%:]")
    (found,) = warned(**options, **splits)
    assert found.startswith("1 images of 'train[50%:]'")
    splits["test_split"] = "train[60%:]"
    assert warned(**options, **splits) == []


def test_copies_in_a_folder_under_other_names(warned, folder):
    (folder / "test").unlink()
    for name, numbers in (("shirt", [0, 3]), ("trouser", [1])):
        (folder / "test" / name).mkdir(parents=True)
        for number in numbers:
            kept = folder / "train" / name / f"{number}.png"
            (folder / "test" / name / f"copy_{number}.png").write_bytes(
                kept.read_bytes()
            )
        new = np.full((28, 28, 1), len(numbers), "uint8")
        path = folder / "test" / name / "new.png"
        keras.utils.save_img(path, new, scale=False)
    options = dict(name="folder", data_dir=folder, image_size=32)
    (found,) = warned(**options)
    words = "3 images of 'test' lie in 'train' too, equal in each pixel: scores"
    assert found.startswith(words)
    # It would read all files.
    assert warned(**options, augmentation="random_resized_crop") == []


def test_copies_in_data_sets_of_ones_own(warned, small_images):
    images, labels = small_images.train.images, small_images.train.labels

    def rows(first, last):
        part = slice(first, last)
        return tf.data.Dataset.from_tensor_slices((images[part], labels[part]))

    def load(train, test):
        names = map(str, range(10))
        data.from_datasets("own", train, test, names, (32, 32))

    (found,) = warned(load, train=rows(0, 50), test=rows(45, 60))
    assert found.startswith("5 images of 'test' lie in 'train' too")
    assert warned(load, train=rows(0, 50), test=rows(50, 60)) == []


def test_tfds(warned, tiny_sets):
    options = dict(name="cifar10", data_dir=tiny_sets, test_split="train[:25%]")
    (found,) = warned(**options)
    assert found.startswith("12 images of 'train[:25%]' are trained on too")
    options["augmentation"] = "random_resized_crop"
    assert warned(**options) == [found]
    assert warned(**options, train_split="train[25%:]") == []


def test_captions(warned):
    splits = dict(train_split="train[:20]", test_split="train[15:25]")
    (found,) = warned(load_captions, **splits)
    assert found.startswith("5 images of 'train[15:25]'")


def test_positions():
    places = overlap.positions("train[10%:300]", ["train"], 200)
    assert places == ("train", range(20, 200))
