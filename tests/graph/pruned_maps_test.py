import re

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf import pruning
from indistill_tf.errors import UserError
from indistill_tf.graph import pruned_maps


def predict(model, tensor, x):
    return keras.Model(model.inputs[0], tensor).predict(x, verbose=0)


def randomize(model):
    rng = np.random.default_rng(0)
    for variable in model.variables:
        value = rng.normal(size=variable.shape) * 0.2 + 0.1
        variable.assign(np.abs(value) if "var" in variable.name else value)
    return model


def randomized(name, shape=(32, 32, 3)):
    return randomize(models.build(name, shape, 10))


def norms(layer):
    """The l1 norm of each of a convolution's filters."""
    return np.abs(np.asarray(layer.kernel)).sum(axis=(0, 1, 2))


def check(tensor, scores, width, way):
    """Checks that a pruned map is the map indexed with its best channels."""
    (inputs,) = keras.utils.get_source_inputs(tensor)
    model = randomize(keras.Model(inputs, tensor))
    expected = scores(model)
    np.testing.assert_allclose(
        pruned_maps.channel_scores(tensor), expected, rtol=1e-5
    )
    kept = sorted(np.argsort(expected)[-width:])
    assert pruned_maps.describe(tensor, width) == way
    x = np.random.default_rng(1).normal(size=(2, *inputs.shape[1:]))
    x = x.astype("float32")
    np.testing.assert_allclose(
        predict(model, pruned_maps.pruned_map(tensor, width), x),
        predict(model, tensor, x)[..., kept],
        rtol=1e-4,
        atol=1e-5,
    )


def conv(filters, name, size=3, **options):
    return layers.Conv2D(filters, size, padding="same", name=name, **options)


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
    model = randomized(name)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    tap = endpoints.endpoint(model, "tap_2")
    kernel = [
        layer.kernel
        for layer in model.layers
        if re.fullmatch(r"stage2_block\d_conv\d", layer.name)
    ][-1]
    kept = pruning.kept_channels(kernel, tap.shape[-1] // 2)
    values = predict(model, pruned_maps.pruned_map(tap, len(kept)), x)
    expected = predict(model, tap, x)[..., kept]
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4)


def test_projection_shortcut_is_not_taken_for_the_block():
    model = randomized("resnet8")
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


def test_full_width_is_the_map_itself():
    model = models.build("cnn_a", (32, 32, 3), 10)
    tap = endpoints.endpoint(model, "tap_1")
    assert pruned_maps.pruned_map(tap, 16) is tap
    assert pruned_maps.describe(tap, 16) == "as it is"


def test_hand_computed_ranking_of_a_concatenation():
    inputs = keras.Input((1, 1, 1))
    first = layers.Conv2D(2, 1, use_bias=False, name="first")(inputs)
    second = layers.Conv2D(2, 1, use_bias=False, name="second")(first)
    tensor = layers.Concatenate(name="both")([first, second])
    model = keras.Model(inputs, tensor)
    model.get_layer("first").kernel.assign([[[[-4, 1]]]])
    model.get_layer("second").kernel.assign([[[[1, 2], [-2, 0]]]])
    # |-4|, |1|; |1| + |-2|, |2| + |0|
    scores = pruned_maps.channel_scores(tensor)
    np.testing.assert_array_equal(scores, [4, 1, 3, 2])
    # Channels 0 and 2: -4 x, and -4 x * 1 + x * -2.
    pruned = predict(model, pruned_maps.pruned_map(tensor, 2), np.ones([1] * 4))
    np.testing.assert_array_equal(pruned, [[[[-4, -6]]]])


def test_dense_block():
    x = conv(6, "stem")(keras.Input((8, 8, 3)))
    parts = [x]
    for number in (1, 2):
        x = layers.BatchNormalization()(x)
        x = conv(4, f"grown_{number}")(layers.ReLU()(x))
        parts.append(x)
        x = layers.Concatenate(name=f"concat_{number}")([*parts])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    check(
        x,
        lambda model: np.concatenate(
            [
                norms(model.get_layer(name))
                for name in ("stem", "grown_1", "grown_2")
            ]
        ),
        width=7,
        way="sliced after concat_2",
    )


def test_concatenation_by_an_operation():
    x = conv(4, "a")(keras.Input((8, 8, 3)))
    x = ops.concatenate([x, conv(3, "b")(x)], axis=-1)
    check(
        x,
        lambda model: np.concatenate(
            [norms(model.get_layer(name)) for name in "ab"]
        ),
        width=4,
        way=f"sliced after {x._keras_history.operation.name}",
    )


def test_concatenation_of_rows_keeps_the_channels():
    inputs = keras.Input((8, 8, 3))
    x = conv(4, "a")(inputs)
    x = layers.Concatenate(axis=1, name="rows")([x, conv(4, "b")(x)])
    # The deeper of the two ranks.
    check(x, lambda model: norms(model.get_layer("b")), 2, "sliced after rows")


def test_depthwise_convolution():
    x = conv(3, "wide")(keras.Input((8, 8, 3)))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))

    def scores(model):
        kernel = np.asarray(model.get_layer("depthwise").kernel)
        # [3, 3, 3, 2]: both filters of a channel, then those of the next.
        return np.abs(kernel).sum(axis=(0, 1)).reshape(6)

    check(x, scores, width=2, way="sliced after depthwise")


@pytest.mark.parametrize("size", [8, 1])
def test_gate_of_squeeze_and_excitation_does_not_rank(size):
    x = conv(6, "main")(keras.Input((size, size, 3)))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = conv(2, "squeeze", 1, activation="relu")(gate)
    gate = conv(6, "gate", 1, activation="sigmoid")(gate)
    x = layers.Multiply(name="gated")([x, gate])
    check(
        x, lambda model: norms(model.get_layer("main")), 3, "sliced after gated"
    )


def test_grouped_convolution():
    x = conv(4, "grouped", groups=2)(keras.Input((8, 8, 2)))
    x = layers.ReLU()(x)
    check(
        x,
        lambda model: norms(model.get_layer("grouped")),
        width=2,
        way="sliced after grouped",
    )


@pytest.mark.parametrize(
    "follow",
    [
        [layers.BatchNormalization, layers.ReLU, layers.MaxPooling2D],
        [lambda: layers.Activation("silu"), lambda: layers.Dropout(0.5)],
        [layers.ZeroPadding2D, lambda: layers.AveragePooling2D(2)],
    ],
)
def test_rebuilt_behind_layers_of_single_channels(follow):
    x = conv(6, "conv")(keras.Input((8, 8, 3)))
    for layer in follow:
        x = layer()(x)
    check(
        x, lambda model: norms(model.get_layer("conv")), 3, "rebuilt from conv"
    )


def test_activation_across_channels_is_sliced():
    x = conv(6, "conv", activation="softmax")(keras.Input((8, 8, 3)))
    check(
        x, lambda model: norms(model.get_layer("conv")), 3, "sliced after conv"
    )


def test_normalisation_of_rows_is_sliced():
    x = conv(6, "conv")(keras.Input((8, 8, 3)))
    x = layers.BatchNormalization(axis=1, name="rows")(x)
    check(
        x, lambda model: norms(model.get_layer("conv")), 3, "sliced after rows"
    )


@pytest.mark.parametrize("terms", ["xx", "xyx", "yx"])
def test_every_term_of_a_sum_counts_once_for_each_time(terms):
    x = conv(6, "first")(keras.Input((8, 8, 3)))
    maps = {"x": x, "y": conv(6, "second")(x)}
    tensor = layers.Add()([maps[term] for term in terms])
    name = "second" if "y" in terms else "first"
    check(
        tensor,
        lambda model: norms(model.get_layer(name)),
        3,
        f"rebuilt from {name}",
    )


def between(layer):
    return layer(layers.Conv2D(4, 3, name="conv")(keras.Input((8, 8, 3))))


@pytest.mark.parametrize(
    "layer, message",
    [
        (layers.Reshape((4, 6, 6), name="odd"), r"'odd' \(Reshape\)"),
        (
            layers.Lambda(lambda x: x[..., ::-1], name="turned"),
            r"'turned' \(Lambda\)",
        ),
    ],
)
def test_what_cannot_be_pruned_through_is_named(layer, message):
    x = layers.ReLU()(between(layer))
    with pytest.raises(UserError, match=message):
        pruned_maps.pruned_map(x, 2)


def test_image_channels_have_no_filters():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Concatenate()([conv(4, "conv")(inputs), inputs])
    with pytest.raises(UserError, match=r"'image' \(InputLayer\)"):
        pruned_maps.pruned_map(x, 2)
