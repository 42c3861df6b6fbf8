"""Weights of which a part has changed since they were written."""

import keras
import numpy as np
import pytest

from indistill_tf import checksums
from indistill_tf import cifd
from indistill_tf import models
from indistill_tf.errors import UserError


@pytest.fixture
def model():
    return models.build("cnn_s", (32, 32, 1), 10)


def flips(path, count):
    """Yields as often as said, with another bit of a file changed."""
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(count):
        content = bytearray(whole)
        content[random.integers(len(whole))] ^= 1 << random.integers(8)
        path.write_bytes(content)
        yield
    path.write_bytes(whole)


def silent(model, path, count):
    """Returns how often a changed file gave other weights and no error."""
    expected, found = model.get_weights(), 0
    for _ in flips(path, count):
        other = keras.models.clone_model(model)
        try:
            models.load_weights(other, path)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            pairs = zip(other.get_weights(), expected, strict=True)
            found += not all(np.array_equal(*pair) for pair in pairs)
    return found


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_one_bit_of_a_state_dict(model, tmp_path, name):
    models.save_weights(model, tmp_path / name)
    assert silent(model, tmp_path / name, 40) == 0


def test_one_bit_of_a_checkpoint(model, tmp_path):
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    # Without checksums HDF5 notices next to nothing.
    assert silent(model, path, 20) > 0
    checksums.write_sums(tmp_path)
    assert silent(model, path, 20) == 0


def test_one_bit_of_a_model(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    assert silent(model, path, 10) == 0


def assert_refused(model, path, text):
    other = keras.models.clone_model(model)
    before = other.get_weights()
    with pytest.raises(UserError, match=text):
        models.load_weights(other, path)
    for weight, kept in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 3e6])
@pytest.mark.parametrize(
    "name", ["w.npz", "w.safetensors", "w.weights.h5", "w.keras"]
)
def test_weights_that_no_training_makes(model, tmp_path, name, value):
    path, bias = tmp_path / name, model.get_layer("fc2").bias
    bias.assign([value] * 10)
    if name.endswith((".npz", ".safetensors")):
        models.save_weights(model, path)
    elif name.endswith(".h5"):
        model.save_weights(path)
    else:
        model.save(path)
        with pytest.raises(UserError, match="no training makes: .fc2/bias. "):
            models.load_model(path)
    assert_refused(model, path, "no training makes: .fc2/bias. ")


def test_the_variance_of_raw_pixels_may_be_large(model, tmp_path):
    model.get_layer("bn1").moving_variance.assign(np.full(8, 3e6))
    model.save(tmp_path / "w.keras")
    models.load_model(tmp_path / "w.keras")
    model.get_layer("bn1").moving_variance.assign(np.full(8, 3e13))
    model.save(tmp_path / "w.keras")
    assert_refused(model, tmp_path / "w.keras", "bn1/moving_variance. .3e.13")


def test_damaged_modules(tmp_path):
    modules = cifd.RateDistortionModules([1.0], 4, 3, "cifar_pair")
    path = tmp_path / "modules.keras"
    modules.save(path)
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="No modules can be read from .*"):
            cifd.frozen_modules(str(path))
    for _ in flips(path, 10):
        try:
            cifd.frozen_modules(str(path))
        except UserError as error:
            assert "\n" not in str(error)
