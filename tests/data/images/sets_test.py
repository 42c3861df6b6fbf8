import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.data.images import readers
from indistill_tf.data.images import tfds_builders
from indistill_tf.errors import UserError


def test_embedded_set():
    images = data.load()
    assert images.input_shape == (32, 32, 1)
    assert images.train.images.shape == (10_000, 32, 32, 1)
    assert images.test.images.shape == (2_000, 32, 32, 1)
    assert np.bincount(images.train.labels).tolist() == [1000] * 10
    assert np.bincount(images.test.labels).tolist() == [200] * 10
    assert images.class_names[9] == "Ankle boot"
    assert images.validation is None
    # Real pictures: the mean of Fashion-MNIST is 0.286 on 28 x 28 pixels.
    mean = images.train.images.mean() / 255 * (32 / 28) ** 2
    assert mean == pytest.approx(0.286, abs=0.005)


def test_slices_do_not_overlap():
    images = data.load(
        train_split="train[:90%]", validation_split="train[90%:]"
    )
    assert len(images.train.labels) == 9_000
    assert len(images.validation.labels) == 1_000
    whole = data.load().train
    np.testing.assert_array_equal(
        images.validation.images, whole.images[9_000:]
    )


def test_first_classes():
    images = data.load(classes=3)
    assert images.num_classes == 3
    assert set(images.train.labels) == set(images.test.labels) == {0, 1, 2}
    with pytest.raises(UserError, match="has 10 classes; the first 11"):
        data.load(classes=11)


def test_other_size():
    assert data.load(image_size=40).input_shape == (40, 40, 1)
    small = data.load(image_size=16, resize="bilinear", train_split="train[:9]")
    assert small.input_shape == (16, 16, 1)


@pytest.mark.parametrize("spec", ["valid", "train[", "train[a:b]", "test[:5%"])
def test_unknown_split(spec):
    with pytest.raises(UserError, match="Expected one of train, test"):
        data.load(train_split=spec)


def test_empty_split():
    with pytest.raises(UserError, match="holds no image"):
        data.load(train_split="train[:0]")


def test_damaged_embedded_set(tmp_path, monkeypatch):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(readers.EMBEDDED.read_bytes()[:5000])
    monkeypatch.setattr(readers, "EMBEDDED", damaged)
    with pytest.raises(UserError, match="missing or damaged"):
        data.load()


@pytest.fixture
def folder(tmp_path, small_images):
    """A folder of PNG files: two classes, two splits."""
    for split in ("train", "test"):
        part = getattr(small_images, split)
        for label, name in ((0, "shirt"), (1, "trouser")):
            target = tmp_path / split / name
            target.mkdir(parents=True)
            chosen = part.images[part.labels == label][:6]
            for number, image in enumerate(chosen):
                keras.utils.save_img(
                    target / f"{number}.png", image, scale=False
                )
    return tmp_path


def test_folder(folder):
    images = data.load("folder", data_dir=folder, image_size=32)
    assert images.class_names == ("shirt", "trouser")
    assert images.train.images.shape == (12, 32, 32, 3)
    assert sorted(images.train.labels) == [0] * 6 + [1] * 6
    scaled = images.train.images / 255
    np.testing.assert_allclose(
        images.preprocessing.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-4
    )
    np.testing.assert_allclose(
        images.preprocessing.std, scaled.std(axis=(0, 1, 2)), rtol=1e-4
    )


def test_slice_of_a_folder_has_every_class(folder):
    images = data.load(
        "folder", data_dir=folder, image_size=32, train_split="train[:50%]"
    )
    assert set(images.train.labels) == {0, 1}


def test_folder_errors(folder, tmp_path):
    with pytest.raises(UserError, match="needs `data_dir`"):
        data.load("folder")
    with pytest.raises(UserError, match="needs `image_size`"):
        data.load("folder", data_dir=folder)
    with pytest.raises(UserError, match="Unknown split 'val'"):
        data.load("folder", data_dir=folder, image_size=8, test_split="val")
    (folder / "test" / "shirt" / "0.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="shirt/0.png cannot be read"):
        data.load("folder", data_dir=folder, image_size=8)


def store(data_dir, features, rows):
    """Writes a set in TFDS' own format."""
    import tensorflow_datasets as tfds

    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny",
        config="plain",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={"train": rows, "test": rows[:6]},
        data_dir=data_dir,
    )


def test_tfds(tmp_path, small_images):
    import tensorflow_datasets as tfds

    part = small_images.train
    features = {
        "image": tfds.features.Image(shape=(32, 32, 1)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    rows = [
        (i, {"image": part.images[i], "label": int(part.labels[i])})
        for i in range(20)
    ]
    store(tmp_path, features, rows)
    images = data.load(
        "tiny/plain",
        data_dir=tmp_path,
        train_split="train[:90%]",
        validation_split="train[90%:]",
    )
    sizes = [
        len(split.labels)
        for split in (images.train, images.validation, images.test)
    ]
    assert sizes == [18, 2, 6]
    stored = {image.tobytes() for image in part.images[:20]}
    pixels = np.concatenate([images.train.images, images.validation.images])
    assert {image.tobytes() for image in pixels} == stored
    with pytest.raises(UserError, match="Unknown split 'valid'"):
        data.load("tiny/plain", data_dir=tmp_path, test_split="valid")


def test_tfds_set_of_another_kind(tmp_path):
    import tensorflow_datasets as tfds

    store(tmp_path, {"text": tfds.features.Text()}, [(0, {"text": "a"})] * 1)
    with pytest.raises(UserError, match="no Image, .* It has: text"):
        data.load("tiny/plain", data_dir=tmp_path)


def test_tfds_set_that_is_not_prepared(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def refuse(self, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", refuse
    )
    monkeypatch.setattr(tfds_builders, "_answers", lambda host: True)
    with pytest.raises(UserError, match="'cifar10' is not prepared in"):
        data.load("cifar10", data_dir=tmp_path)


def test_tfds_by_mock():
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(num_examples=12):
        builder = tfds.builder("cifar10")
        pairs = builder.as_dataset(split="train", as_supervised=True)
        images = data.from_datasets(
            "mine", pairs, pairs, builder.info.features["label"].names, (32, 32)
        )
    assert images.train.images.shape == (12, 32, 32, 3)
    assert images.train.images.dtype == "uint8"


def test_unknown_dataset():
    with pytest.raises(UserError, match="Unknown dataset: 'no_such_set'"):
        data.load("no_such_set")


def test_users_own_dataset(small_images):
    pairs = tf.data.Dataset.from_tensor_slices(
        (small_images.train.images[:30], small_images.train.labels[:30])
    )
    images = data.from_datasets(
        "mine", pairs, pairs.take(9), [str(i) for i in range(10)], (16, 16)
    )
    assert images.input_shape == (16, 16, 1)
    assert len(images.test.labels) == 9
