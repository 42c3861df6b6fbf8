import numpy as np
import pytest

from indistill_tf import data
from indistill_tf.data.images import decoding
from indistill_tf.data.images import tfds_builders
from indistill_tf.errors import UserError
from indistill_tf_tools import official_splits
from indistill_tf_tools import stand_ins


def test_imagenet_is_read_by_its_official_class(tiny_sets):
    import tensorflow_datasets as tfds

    builder = tfds.builder("imagenet2012", data_dir=tiny_sets)
    assert str(builder.version) == "5.1.0"
    assert set(builder.info.splits) == {"train", "validation", "test"}
    assert builder.info.splits["train"].num_shards == 5
    rows = list(builder.as_dataset(split="train").as_numpy_iterator())
    heights, widths = zip(*(row["image"].shape[:2] for row in rows))
    assert 290 < min(heights) and max(widths) < 610
    assert len(set(zip(heights, widths))) > 40
    assert any(high > wide for high, wide in zip(heights, widths))
    # 48 images over 1,000 classes: every 21st or 20th.
    labels = sorted(row["label"] for row in rows)
    assert labels == [i * 1000 // 48 for i in range(48)]
    secret = builder.as_dataset(split="test").as_numpy_iterator()
    assert {row["label"] for row in secret} == {-1}


def test_imagenet_loads_without_further_flags(tiny_sets):
    images = data.load("imagenet2012", tiny_sets)
    assert images.input_shape == (224, 224, 3)
    assert images.num_classes == 1000
    assert images.preprocessing.resize == "crop"
    assert images.augmentation == "random_resized_crop"
    assert len(images.test) == 12
    assert images.test.labels.min() == 0
    described = images.describe()
    assert (described["train"], described["test"]) == (48, 12)


def test_thirty_birds(tiny_sets):
    images = data.load("caltech_birds2011", tiny_sets, classes=30)
    assert images.input_shape == (48, 48, 3)
    assert images.num_classes == 30
    # Of labels 0, 4, 8, ..., 200 * 47 // 48 those below 30.
    assert sorted(images.train.labels) == [0, 4, 8, 12, 16, 20, 25, 29]
    assert images.train.images.shape == (8, 48, 48, 3)


def test_small_pictures_in_memory_and_in_files(tiny_sets):
    memory = data.load("cifar10", tiny_sets)
    files = data.load("cifar10", tiny_sets, augmentation="random_resized_crop")
    assert np.bincount(memory.train.labels).tolist() == [5, 5, 5, 5, 4] * 2
    np.testing.assert_array_equal(memory.train.labels, files.train.labels)
    # A PNG is kept exactly. In files, the size is taken by another mode.
    encoded = files.train.elements().as_numpy_iterator()
    pixels = [decoding.decode(row[0], 3) for row in encoded]
    np.testing.assert_array_equal(memory.train.images, pixels)
    assert files.preprocessing.resize == "crop"
    assert files.preprocessing.mean == memory.preprocessing.mean


def test_what_it_is_is_written_beside_it(tiny_sets):
    (note,) = tiny_sets.glob("imagenet2012/*/TINY.txt")
    assert note.read_text().startswith("A tiny stand-in for imagenet2012, not")


@pytest.mark.parametrize(
    "name, splits",
    [
        ("tf_flowers", ["train"]),
        ("cats_vs_dogs", ["train"]),
        ("cifar10", ["train", "test"]),
        ("emnist/letters", ["train", "test"]),
        ("food101", ["train", "validation"]),
        ("oxford_flowers102", ["train", "test", "validation"]),
        ("patch_camelyon", ["test", "train", "validation"]),
        ("svhn_cropped", ["train", "test", "extra"]),
        ("stl10", ["train", "test", "unlabelled"]),
        ("imagenet_v2", ["test"]),
        ("imagenet2012", ["train", "validation", "test"]),
    ],
)
def test_splits_are_the_official_ones(tmp_path, name, splits):
    builder = tfds_builders.find(name, tmp_path)
    assert official_splits.names(builder) == splits


def test_splits_that_the_source_does_not_name(tmp_path):
    with pytest.raises(UserError, match="'stanford_online_products' cannot be"):
        stand_ins.write_tiny("stanford_online_products", tmp_path)


def test_a_set_without_a_test_split(tmp_path):
    stand_ins.write_tiny("tf_flowers", tmp_path, 20, 10)
    with pytest.raises(UserError, match="has no split 'test' to report on, bu"):
        data.load("tf_flowers", tmp_path, image_size=32)
    images = data.load(
        "tf_flowers",
        tmp_path,
        image_size=32,
        train_split="train[:80%]",
        test_split="train[80%:]",
    )
    assert (len(images.train), len(images.test)) == (16, 4)


def test_refusals(tiny_sets, tmp_path):
    with pytest.raises(UserError, match="exists, and is not overwritten"):
        stand_ins.write_tiny("cifar10", tiny_sets)
    with pytest.raises(UserError, match="Unknown dataset: 'no_such_set'"):
        stand_ins.write_tiny("no_such_set", tmp_path)
    with pytest.raises(UserError, match="'imdb_reviews' has no Image"):
        stand_ins.write_tiny("imdb_reviews", tmp_path)
    with pytest.raises(UserError, match="Unknown format: 'riegeli'"):
        stand_ins.write_tiny("cifar10", tmp_path, file_format="riegeli")
