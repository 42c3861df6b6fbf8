"""Why a `.keras` file does not load: each reason has its own advice."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.errors import UserError


class Mine(keras.layers.Layer):
    """A layer that nobody registered."""

    def call(self, x):
        return x


def swish_of_mine(x):
    return x * keras.ops.sigmoid(x)


class Whole(keras.Model):
    """A subclassed model that nobody registered."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)


def network(layer):
    inputs = keras.Input((4,))
    return keras.Model(inputs, layer(inputs))


def refusal(path):
    with pytest.raises(UserError) as caught:
        models.load_model(path)
    message = str(caught.value)
    assert message.count("\n") == 0
    assert str(path) in message
    return message


NOT_REGISTERED = {
    f"'Mine' of {__name__}": lambda: network(Mine()),
    "the function 'swish_of_mine'": lambda: network(
        keras.layers.Dense(2, activation=swish_of_mine)
    ),
    f"'Mine' of {__name__}, the function 'swish_of_mine'": lambda: network(
        keras.Sequential([Mine(), keras.layers.Lambda(swish_of_mine)])
    ),
    f"'Whole' of {__name__}": Whole,
}


@pytest.mark.parametrize("names", NOT_REGISTERED)
def test_what_is_not_registered(tmp_path, names):
    model = NOT_REGISTERED[names]()
    model(np.ones((1, 4)))
    model.save(tmp_path / "m.keras")
    message = refusal(tmp_path / "m.keras")
    assert f"needs what Keras does not know here: {names}. In Py" in message
    assert "Copy it again" not in message


def test_what_is_registered_loads(tmp_path):
    network(Mine()).save(tmp_path / "m.keras")
    with keras.saving.CustomObjectScope({"Mine": Mine}):
        assert isinstance(
            models.load_model(tmp_path / "m.keras").layers[1], Mine
        )


@pytest.fixture
def unsafe():
    """Undoes `enable_unsafe_deserialization`, for which Keras has no way."""
    from keras.src.backend.common import global_state

    yield
    global_state.set_global_attribute("safe_mode_saving", None)


def test_python_code(tmp_path, unsafe):
    path = tmp_path / "m.keras"
    network(keras.layers.Lambda(lambda x: x * 2, name="twice")).save(path)
    message = refusal(path)
    assert "holds code, of Lambda 'twice', which is not run" in message
    assert "Copy it again" not in message
    # What the message advises works.
    keras.config.enable_unsafe_deserialization()
    model = models.load_model(path)
    np.testing.assert_array_equal(model(np.ones((1, 4))), 2 * np.ones((1, 4)))


@pytest.fixture
def path(tmp_path):
    """The file of a model of Keras' own layers."""
    network(keras.layers.Dense(2)).save(tmp_path / "m.keras")
    return tmp_path / "m.keras"


def rewritten(path, change):
    """The file with each of its members changed, or left out if None."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            content = change(name, content)
            if content is not None:
                file.writestr(name, content)
    return path


def test_other_versions_of_keras(path):
    def older(name, content):
        if name == "metadata.json":
            return json.dumps({"keras_version": "2.15.0"})
        return content.replace(b'"units": 2', b'"units": 2, "wide": 1')

    def newer(name, content):
        return content.replace(b'"2.15.0"', b'"3.999.0"')

    message = refusal(rewritten(path, older))
    assert "was written by Keras 2.15.0 and cannot be loaded by 3" in message
    assert "passed to Dense: {'wide': 1}). Rebuild the network in" in message
    assert "Install the newer one." in refusal(rewritten(path, newer))


def test_archives_of_another_kind(path):
    without = {"config.json": None}
    rewritten(path, lambda name, content: without.get(name, content))
    assert "a zip archive without config.json, so model.save" in refusal(path)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_network(path):
    rewritten(
        path,
        lambda name, content: content.replace(b'"units": 2', b'"units": 3'),
    )
    message = refusal(path)
    assert "is whole, but no model comes of it (A total of 1 obj" in message


def without_weights(path):
    rewritten(
        path, lambda name, content: None if "weights" in name else content
    )


def cut(path):
    path.write_bytes(path.read_bytes()[:2000])


def spoil(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm, reason",
    [
        (without_weights, "its weights are missing"),
        (cut, "it holds the beginning of a zip archive, whose end is missing"),
        (spoil, "model.weights.h5 in it is damaged"),
        (lambda path: path.write_bytes(b""), "it holds nothing"),
        (lambda path: path.write_text("<html>"), "it holds a web page"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com"),
            "it holds a pointer of Git LFS",
        ),
    ],
)
def test_damage(path, harm, reason):
    harm(path)
    message = refusal(path)
    assert f"is no readable .keras file ({reason}). Copy it again" in message


def test_files_of_keras_2(tmp_path):
    network(keras.layers.Dense(2)).save(tmp_path / "m.h5")
    assert "Load it in Python with keras.saving.load_model" in refusal(
        tmp_path / "m.h5"
    )
    shutil.copy(tmp_path / "m.h5", tmp_path / "m.keras")
    message = refusal(tmp_path / "m.keras")
    assert (
        "holds HDF5, the format of Keras 2, not of .keras. Name it" in message
    )


def test_folders(path):
    assert "is a folder. It holds: m.keras. Name a" in refusal(path.parent)
    (path.parent / "saved_model.pb").touch()
    assert "is a SavedModel, which runs but has no" in refusal(path.parent)
