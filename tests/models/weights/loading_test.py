import json
import struct
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy

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
    for weight, kept in zip(model.get_weights(), before):
        np.testing.assert_array_equal(weight, kept)


def test_h5_round_trip(model, tmp_path):
    model.save_weights(tmp_path / "w.weights.h5")
    other = models.build("cnn_s", (32, 32, 1), 10)
    models.load_weights(other, tmp_path / "w.weights.h5")
    for weight, kept in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(weight, kept)


def save(model, path):
    """Saves as the ending says; .npz in Keras' layouts."""
    if path.suffix == ".npz":
        np.savez(path, **arrays_of(model))
    elif path.suffix == ".safetensors":
        models.save_weights(model, path)
    elif path.suffix == ".keras":
        model.save(path)
    else:
        model.save_weights(path)


ENDINGS = [".npz", ".safetensors", ".keras", ".weights.h5"]


@pytest.mark.parametrize("length", [0, 5, 1000])
@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_weights(model, tmp_path, ending, length):
    path = tmp_path / f"w{ending}"
    save(model, path)
    path.write_bytes(path.read_bytes()[:length])
    refuses(model, path, "is no readable|does not hold")


@pytest.mark.parametrize("ending", ENDINGS)
def test_weights_of_another_width(model, tmp_path, ending):
    path = tmp_path / f"w{ending}"
    save(models.build("cnn_a", (32, 32, 1), 10), path)
    refuses(model, path, "does not fit model|does not hold")


def test_flipped_bits_in_an_npz(model, tmp_path):
    path = tmp_path / "w.npz"
    save(model, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refuses(model, path, "is no readable .npz file")


def refuses(model, path, message):
    before = model.get_weights()
    with pytest.raises(UserError, match=message) as error:
        models.load_weights(model, path)
    assert str(path) in str(error.value)
    for weight, kept in zip(model.get_weights(), before):
        np.testing.assert_array_equal(weight, kept)


def test_h5_with_layers_that_the_model_has_not(tmp_path):
    def stack(*units):
        inputs = x = keras.Input((4,))
        for count in units:
            x = keras.layers.Dense(count)(x)
        return keras.Model(inputs, x)

    # Keras itself would load the first layer and pass over the second.
    stack(3, 2).save_weights(tmp_path / "w.weights.h5")
    refuses(stack(3), tmp_path / "w.weights.h5", r"1 x \(3, 2\), 1 x \(2,\)")


def test_h5_of_a_trained_model(tmp_path):
    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.5)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
    model.save_weights(tmp_path / "w.weights.h5")  # with the optimizer
    other = keras.models.clone_model(model)
    models.load_weights(other, tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(other.weights[0], model.weights[0])


def test_keras_file_by_names(model, tmp_path):
    save(model, tmp_path / "w.keras")
    other = models.build("cnn_s", (32, 32, 1), 10)
    models.load_weights(other, tmp_path / "w.keras")
    for weight, kept in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(weight, kept)


def branches(names, merge=keras.layers.Concatenate):
    inputs = keras.Input((2,))
    outputs = [keras.layers.Dense(3, name=name)(inputs) for name in names]
    return keras.Model(inputs, merge()(outputs))


def test_keras_file_of_the_same_layers_under_other_names(tmp_path):
    stored = branches(["a", "b"])
    stored.save(tmp_path / "w.keras")
    model = branches(["c", "d"])
    models.load_weights(model, tmp_path / "w.keras")
    images = np.ones((1, 2))
    np.testing.assert_array_equal(model(images), stored(images))
    other = branches(["c", "d"], keras.layers.Add)
    refuses(other, tmp_path / "w.keras", "unknown a.bias; unknown a.kernel")


def test_keras_file_of_layers_in_another_order(tmp_path):
    stored = branches(["a", "b"])
    stored.save(tmp_path / "w.keras")
    # The names decide, not the order.
    model = branches(["b", "a"])
    models.load_weights(model, tmp_path / "w.keras")
    np.testing.assert_array_equal(
        model.get_layer("a").kernel, stored.get_layer("a").kernel
    )


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_state_dict_round_trip(model, tmp_path, ending):
    path = tmp_path / f"w{ending}"
    models.save_weights(model, path)
    other = models.build("cnn_s", (32, 32, 1), 10)
    models.load_weights(other, path)
    for weight, kept in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(weight, kept)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def safetensors_file(arrays, code):
    """The format by hand: the header's length, the header, the numbers."""
    header, content = {}, b""
    for name, array in arrays.items():
        end = len(content) + array.nbytes
        offsets = [len(content), end]
        shape = list(array.shape)
        header[name] = {"dtype": code, "shape": shape, "data_offsets": offsets}
        content += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


@pytest.mark.parametrize(
    "dtype, code",
    [("float16", "F16"), ("bfloat16", "BF16"), ("float64", "F64")],
)
def test_numbers_are_cast(model, tmp_path, dtype, code):
    arrays = models.to_state_dict(model)
    stored = {name: array.astype(dtype) for name, array in arrays.items()}
    content = safetensors_file(stored, code)
    (tmp_path / "w.safetensors").write_bytes(content)
    models.load_weights(model, tmp_path / "w.safetensors")
    kernel = model.get_layer("conv1").kernel
    assert kernel.dtype == "float32"
    expected = stored["conv1.weight"].astype("float32").transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)


def test_types_that_are_not_read(model, tmp_path):
    arrays = {"conv1.weight": np.zeros(1, "uint8")}
    content = safetensors_file(arrays, "F8_E4M3")
    (tmp_path / "w.safetensors").write_bytes(content)
    refuses(model, tmp_path / "w.safetensors", "F8_E4M3 is unknown here")


def test_safetensors_in_keras_names(model, tmp_path):
    arrays = arrays_of(model)
    safetensors.numpy.save_file(arrays, tmp_path / "w.safetensors")
    models.load_weights(model, tmp_path / "w.safetensors")
    kernel = model.get_layer("fc1").kernel
    np.testing.assert_array_equal(kernel, arrays["fc1.kernel"])


def test_safetensors_is_optional(model, tmp_path, monkeypatch):
    (tmp_path / "w.safetensors").touch()
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for function in (models.load_weights, models.save_weights):
        with pytest.raises(UserError, match=r"indistill_tf\[weights\]"):
            function(model, tmp_path / "w.safetensors")


def test_a_failed_write_leaves_the_old_weights(model, tmp_path, monkeypatch):
    path = tmp_path / "w.npz"
    models.save_weights(model, path)
    before = path.read_bytes()

    def half(temporary, **arrays):
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(UserError, match="No space left on device"):
        models.save_weights(model, path)
    assert path.read_bytes() == before


def test_where_nothing_can_be_saved(model, tmp_path):
    with pytest.raises(UserError, match="is a .npz or .safetensors file"):
        models.save_weights(model, tmp_path / "w.keras")
    with pytest.raises(UserError, match="cannot be written"):
        models.save_weights(model, tmp_path / "none" / "w.npz")


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
    with pytest.raises(UserError, match="are a .keras, .weights.h5, .npz or"):
        models.load_weights(model, tmp_path / "a.txt")
    (tmp_path / "a.pth").touch()
    with pytest.raises(UserError, match="Convert it in PyTorch"):
        models.load_weights(model, tmp_path / "a.pth")
