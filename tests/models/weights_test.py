import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.errors import UserError


@pytest.fixture
def model():
    return models.build("cnn_s", (32, 32, 1), 10)


def arrays_of(model):
    return {
        f"{layer.name}.{variable.name}": variable.numpy() + 1
        for layer in model.layers
        for variable in layer.variables
    }


def test_npz_round_trip(model, tmp_path):
    arrays = arrays_of(model)
    np.savez(tmp_path / "w.npz", **arrays, note=np.zeros(3))
    models.load_weights(model, tmp_path / "w.npz")
    kernel = model.get_layer("conv1").kernel
    np.testing.assert_array_equal(kernel, arrays["conv1.kernel"])


def test_npz_that_does_not_fit_lists_all_and_changes_nothing(model, tmp_path):
    arrays = arrays_of(model)
    del arrays["bn1.gamma"]
    arrays["conv9.kernel"] = np.zeros(3)
    arrays["fc2.bias"] = np.zeros(7)
    np.savez(tmp_path / "w.npz", **arrays)
    before = model.get_weights()
    with pytest.raises(UserError) as error:
        models.load_weights(model, tmp_path / "w.npz")
    for text in (
        "missing bn1.gamma",
        "unknown conv9.kernel",
        "fc2.bias is (7,), expected (10,)",
    ):
        assert text in str(error.value)
    for mine, theirs in zip(model.get_weights(), before):
        np.testing.assert_array_equal(mine, theirs)


def test_h5_round_trip(model, tmp_path):
    model.save_weights(tmp_path / "w.weights.h5")
    other = models.build("cnn_s", (32, 32, 1), 10)
    models.load_weights(other, tmp_path / "w.weights.h5")
    for mine, theirs in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ["w.npz", "w.weights.h5"])
def test_damaged_weights(model, tmp_path, name):
    path = tmp_path / name
    if name.endswith("npz"):
        np.savez(path, **arrays_of(model))
    else:
        model.save_weights(path)
    path.write_bytes(path.read_bytes()[:1000])
    before = model.get_weights()
    with pytest.raises(UserError, match=str(path)):
        models.load_weights(model, path)
    for mine, theirs in zip(model.get_weights(), before):
        np.testing.assert_array_equal(mine, theirs)


def test_weights_of_another_model(model, tmp_path):
    other = models.build("cnn_a", (32, 32, 1), 10)
    other.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(UserError, match="does not hold the weights of"):
        models.load_weights(model, tmp_path / "w.weights.h5")


def test_whole_models(model, tmp_path):
    path = tmp_path / "m.keras"
    model.save(path)
    np.testing.assert_array_equal(
        models.load_model(path).get_weights()[0], model.get_weights()[0]
    )
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="no readable .keras file"):
        models.load_model(path)


def test_files_that_are_not_there(model, tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        models.load_model(tmp_path / "none.keras")
    with pytest.raises(UserError, match="There is no file"):
        models.load_weights(model, tmp_path / "none.npz")
    (tmp_path / "a.txt").touch()
    with pytest.raises(UserError, match="is a .keras file"):
        models.load_model(tmp_path / "a.txt")
    with pytest.raises(UserError, match="are a .weights.h5 or .npz file"):
        models.load_weights(model, tmp_path / "a.txt")
