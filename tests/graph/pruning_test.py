import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf import pruning
from indistill_tf.errors import UserError
from indistill_tf.graph import pruned_maps

RATES = {"q13": 1 / 3, "q12": 1 / 2, "q34": 3 / 4}


def golden_teacher(golden, file):
    """Returns the fixture's network, its input, and the fixture."""
    data = golden(file)
    model = models.build("cnn_a", (32, 32, 3), 10)
    if file == "indistill_layer":
        weights = golden("auxiliary_cifar10")
        scale = np.array([63.0, 62.1, 66.7]) / 255
        mean = np.array([125.3, 123.0, 113.9]) / 255
        x = ((data["image_uint8"] / 255 - mean) / scale).astype("float32")
    else:
        weights = {
            name.removeprefix("teacher."): value
            for name, value in data.items()
            if name.startswith("teacher.")
        }
        x = data["x"]
    for layer in model.layers:
        for variable in layer.variables:
            variable.assign(weights[f"{layer.name}.{variable.name}"])
    return model, x, data


def predict(model, tensor, x):
    return keras.Model(model.input, tensor).predict(x, verbose=0)


FILES = ["indistill_layer_synth", "indistill_layer"]


@pytest.mark.parametrize("file", FILES)
def test_maps_and_scores_agree_with_the_released_code(golden, file):
    model, x, data = golden_teacher(golden, file)
    for layer in range(3):
        kernel = model.get_layer(f"conv{layer + 1}").kernel
        np.testing.assert_allclose(
            pruning.l1_scores(kernel), data[f"conv{layer + 1}.l1"], rtol=1e-5
        )
        maps = predict(model, endpoints.endpoint(model, f"tap_{layer + 1}"), x)
        np.testing.assert_allclose(
            maps, data[f"layer{layer}.eval_map"], atol=1e-4
        )
    np.testing.assert_allclose(
        predict(model, model.output, x), data["layer4.eval_logits"], atol=1e-4
    )


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_kept_channels_and_pruned_maps(golden, file, rate, layer):
    model, x, data = golden_teacher(golden, file)
    tap = endpoints.endpoint(model, f"tap_{layer + 1}")
    width = pruning.pruned_width(tap.shape[-1], RATES[rate])
    expected = data[f"{rate}.layer{layer}.kept"]
    kernel = model.get_layer(f"conv{layer + 1}").kernel
    kept = pruning.kept_channels(kernel, width)
    np.testing.assert_array_equal(kept, expected)
    carried = predict(model, pruned_maps.pruned_map(tap, width), x)
    np.testing.assert_allclose(
        carried, data[f"layer{layer}.eval_map"][..., kept], atol=1e-4
    )
    # The whole fixture in one batch, as its statistics were taken.
    by_batch = keras.Model(
        model.input, pruned_maps.pruned_map(tap, width, "batch_statistics")
    )
    np.testing.assert_allclose(
        by_batch(x), data[f"{rate}.layer{layer}.repo_target"], atol=1e-4
    )


def test_hand_computed_ranking():
    kernel = np.zeros((1, 1, 2, 4))
    kernel[0, 0] = [[1, -3, 0.5, 2], [1, 0, -0.5, -2]]
    np.testing.assert_allclose(pruning.l1_scores(kernel), [2, 3, 1, 4])
    np.testing.assert_array_equal(pruning.kept_channels(kernel, 2), [1, 3])


def test_width_out_of_range():
    with pytest.raises(UserError, match="between 1 and the 4 filters"):
        pruning.kept_channels(np.ones((1, 1, 2, 4)), 5)


@pytest.mark.parametrize(
    "width, rate, left", [(16, 1 / 3, 11), (32, 1 / 3, 21), (64, 3 / 4, 16)]
)
def test_pruned_width_rounds_as_the_released_code(width, rate, left):
    assert pruning.pruned_width(width, rate) == left


def test_narrowed_layers_are_smaller_and_frozen():
    model = models.build("cnn_a", (32, 32, 3), 10)
    conv = pruning.narrow_conv(model.get_layer("conv2"), [1, 5, 7])
    assert conv.kernel.shape == (3, 3, 16, 3)
    assert conv.trainable_weights == []
    norm = pruning.narrow_batch_norm(model.get_layer("bn2"), [1, 5, 7])
    assert norm.moving_mean.shape == (3,)
    assert norm.trainable_weights == []


def test_unknown_batch_norm_mode():
    layer = models.build("cnn_a", (32, 32, 3), 10).get_layer("bn1")
    with pytest.raises(UserError, match="carry.*batch_statistics"):
        pruning.narrow_batch_norm(layer, [0], "other")


def test_grouped_convolution_is_an_error():
    layer = layers.Conv2D(4, 3, groups=2, name="grouped")
    layer.build((None, 8, 8, 4))
    with pytest.raises(UserError, match="'grouped' is a grouped"):
        pruning.narrow_conv(layer, [0, 1])
