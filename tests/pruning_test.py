import re

import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf import pruned_maps
from indistill_tf import pruning
from indistill_tf.errors import UserError

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
        found = predict(model, endpoints.endpoint(model, f"tap_{layer + 1}"), x)
        np.testing.assert_allclose(
            found, data[f"layer{layer}.eval_map"], atol=1e-4
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


def randomized(name, shape=(16, 16, 3)):
    model = models.build(name, shape, 10)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        value = rng.normal(size=variable.shape) * 0.2 + 0.1
        variable.assign(np.abs(value) if "var" in variable.name else value)
    return model


@pytest.mark.parametrize(
    "name",
    [
        "resnet8",
        "resnet18_preactivation",
        "resnet18_imagenet",
        "resnet50_imagenet",
        "wrn_16_2",
    ],
)
def test_residual_block_end_keeps_whole_channels(name):
    model = randomized(name, (32, 32, 3))
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    tap = endpoints.endpoint(model, "tap_2")
    kernel = [
        layer.kernel
        for layer in model.layers
        if re.fullmatch(r"stage2_block\d_conv\d", layer.name)
    ][-1]
    kept = pruning.kept_channels(kernel, tap.shape[-1] // 2)
    found = predict(model, pruned_maps.pruned_map(tap, len(kept)), x)
    expected = predict(model, tap, x)[..., kept]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_projection_shortcut_is_not_taken_for_the_block():
    model = randomized("resnet8", (32, 32, 3))
    tap = endpoints.endpoint(model, "tap_3")
    view = keras.Model(model.input, pruned_maps.pruned_map(tap, 16))
    kernels = [
        tuple(layer.kernel.shape)
        for layer in view.layers
        if isinstance(layer, layers.Conv2D)
    ]
    assert (3, 3, 64, 16) in kernels
    assert (1, 1, 32, 16) not in kernels
    assert (1, 1, 32, 64) in kernels


def test_layer_and_narrowed_copy_live_in_one_view():
    model = models.build("cnn_a", (32, 32, 3), 10)
    maps = [endpoints.endpoint(model, f"tap_{i}") for i in (1, 2, 3)]
    targets = [pruned_maps.pruned_map(tap, tap.shape[-1] // 2) for tap in maps]
    view = keras.Model(model.input, targets)
    assert [shape[-1] for shape in view.output_shape] == [8, 16, 32]


def test_narrowed_layers_are_smaller_and_frozen():
    model = models.build("cnn_a", (32, 32, 3), 10)
    conv = pruning.narrow_conv(model.get_layer("conv2"), [1, 5, 7])
    assert conv.kernel.shape == (3, 3, 16, 3)
    assert conv.trainable_weights == []
    norm = pruning.narrow_batch_norm(model.get_layer("bn2"), [1, 5, 7])
    assert norm.moving_mean.shape == (3,)
    assert norm.trainable_weights == []


def test_full_width_is_the_map_itself():
    model = models.build("cnn_a", (32, 32, 3), 10)
    tap = endpoints.endpoint(model, "tap_1")
    assert pruned_maps.pruned_map(tap, 16) is tap


def test_what_cannot_be_pruned_through_is_named():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.Reshape((4, 6, 6), name="odd")(x)
    with pytest.raises(UserError, match=r"'odd' \(Reshape\)"):
        pruned_maps.pruned_map(x, 2)


def test_unknown_batch_norm_mode():
    layer = models.build("cnn_a", (32, 32, 3), 10).get_layer("bn1")
    with pytest.raises(UserError, match="carry.*batch_statistics"):
        pruning.narrow_batch_norm(layer, [0], "other")


def test_grouped_convolution_is_an_error():
    layer = layers.Conv2D(4, 3, groups=2, name="grouped")
    layer.build((None, 8, 8, 4))
    with pytest.raises(UserError, match="'grouped' is a grouped"):
        pruning.narrow_conv(layer, [0, 1])
