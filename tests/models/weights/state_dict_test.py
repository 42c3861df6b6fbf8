import re

import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.models.weights.state_dict_names import families


def small(*items, shape=(4, 4, 3)):
    """A model of layers one after the other."""
    inputs = x = keras.Input(shape)
    for item in items:
        x = item(x)
    return keras.Model(inputs, x, name="small")


def shuffle(model, seed=0):
    """Gives every variable other values, and returns the model."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def test_convolution_on_an_asymmetric_kernel():
    model = small(layers.Conv2D(2, (1, 2), name="conv1"), shape=(1, 2, 2))
    # Output 0 of pixels (1, 2), (3, 4): 1*1 + 2*100 + 3*10 + 4*1000 = 4231;
    # torch's weight is [output, input, row, column].
    weight = np.array(
        [[[[1, 10]], [[100, 1000]]], [[[0, 1]], [[0, 0]]]], "float32"
    )
    arrays = {"conv1.weight": weight, "conv1.bias": np.array([0.5, -1.0])}
    models.from_state_dict(model, arrays)
    output = model(np.array([[[[1, 2], [3, 4]]]], "float32"))
    np.testing.assert_array_equal(output, [[[[4231.5, 2.0]]]])


def test_depthwise_convolution():
    layer = layers.DepthwiseConv2D(
        (1, 2), depth_multiplier=2, use_bias=False, name="conv1"
    )
    model = small(layer, shape=(1, 2, 2))
    # Outputs 0 and 1 read channel 0 (pixels 1, 3), outputs 2 and 3 channel 1
    # (pixels 2, 4), as with torch's groups=2.
    weight = np.array([[1, 10], [0, 1], [1, 10], [1, 0]], "float32")
    weight = weight.reshape(4, 1, 1, 2)
    models.from_state_dict(model, {"conv1.weight": weight})
    output = model(np.array([[[[1, 2], [3, 4]]]], "float32"))
    np.testing.assert_array_equal(output, [[[[31, 3, 42, 2]]]])
    back = models.to_state_dict(model)["conv1.weight"]
    np.testing.assert_array_equal(back, weight)


def test_batch_normalisation():
    model = small(layers.BatchNormalization(epsilon=0.0, name="bn1"))
    tensors = {"weight": 3, "bias": 1, "running_mean": 2, "running_var": 4}
    arrays = {
        f"bn1.{name}": np.full(3, value) for name, value in tensors.items()
    }
    arrays["bn1.num_batches_tracked"] = np.array(7)
    models.from_state_dict(model, arrays)
    # 3 * (6 - 2) / sqrt(4) + 1
    output = model(np.full((1, 4, 4, 3), 6.0))
    np.testing.assert_allclose(output, 7.0, rtol=1e-6)


@pytest.mark.parametrize("between", [None, layers.ReLU, layers.Dropout])
def test_dense_behind_a_flatten(between):
    options = {"rate": 0.5} if between is layers.Dropout else {}
    items = [between(**options)] if between else []
    head = [layers.Dense(4, name="fc1"), layers.Dense(2, name="fc2")]
    model = small(layers.Flatten(), *items, *head, shape=(2, 3, 4))
    random = np.random.default_rng(0)
    shapes = {"fc1.weight": (4, 24), "fc2.weight": (2, 4)}
    arrays = {name: random.normal(size=s) for name, s in shapes.items()}
    arrays |= {"fc1.bias": np.zeros(4), "fc2.bias": np.zeros(2)}
    models.from_state_dict(model, arrays)
    images = np.abs(random.normal(size=(5, 2, 3, 4))).astype("float32")
    # torch's order: channels, height, width.
    flat = images.transpose(0, 3, 1, 2).reshape(5, 24)
    expected = flat @ arrays["fc1.weight"].T @ arrays["fc2.weight"].T
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-5)


def test_layer_normalisation_behind_a_flatten():
    norm = layers.LayerNormalization(name="norm")
    dense = layers.Dense(1, use_bias=False, name="fc1")
    model = small(layers.Flatten(), norm, dense, shape=(1, 2, 2))
    arrays = {
        "norm.weight": np.array([1, 2, 3, 4]),
        "norm.bias": np.array([5, 6, 7, 8]),
        "fc1.weight": np.array([[1, 10, 100, 1000]]),
    }
    models.from_state_dict(model, arrays)
    # torch's order (channel, pixel) 00, 01, 10, 11 is ours at 0, 2, 1, 3.
    np.testing.assert_array_equal(norm.gamma, [1, 3, 2, 4])
    np.testing.assert_array_equal(norm.beta, [5, 7, 6, 8])
    np.testing.assert_array_equal(dense.kernel[:, 0], [1, 100, 10, 1000])
    for name, array in models.to_state_dict(model).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_batch_normalisation_behind_a_flatten():
    norm = layers.BatchNormalization(epsilon=0.0, name="bn1")
    dense = layers.Dense(1, use_bias=False, name="fc1")
    model = small(layers.Flatten(), norm, dense, shape=(1, 2, 2))
    arrays = {
        "bn1.weight": [1, 2, 3, 4],
        "bn1.bias": [0, 0, 0, 0],
        "bn1.running_mean": [0, 0, 0, 0],
        "bn1.running_var": [1, 1, 1, 1],
        "fc1.weight": [[1, 10, 100, 1000]],
    }
    arrays = {name: np.array(value) for name, value in arrays.items()}
    models.from_state_dict(model, arrays)
    # Pixels (5, 6), (7, 8) are 5, 7, 6, 8 in torch's order:
    # 1*1*5 + 2*10*7 + 3*100*6 + 4*1000*8 = 33945.
    output = model(np.array([[[[5, 6], [7, 8]]]], "float32"))
    np.testing.assert_allclose(output, [[33945.0]], rtol=1e-6)


def depth(name):
    return int((re.findall(r"\d+", name) or [0])[0])


# Vision transformers are large: here they are narrow.
NARROW = {"depth": 4, "width": 8, "heads": 2, "embedding_size": 6}

# The deepest networks repeat the blocks of the others.
ROUND_TRIPS = [
    pytest.param(name, marks=pytest.mark.slow) if depth(name) > 30 else name
    for name in models.BUILDERS
]


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_round_trip_of_every_network(name):
    size = 28 if name == "vit_l_14" else 32
    options = NARROW if name.startswith("vit") else {}
    model = models.build(name, (size, size, 3), 10, **options)
    before = model.get_weights()
    for family in families(model):
        arrays = models.to_state_dict(model, family.name)
        model.set_weights([weight + 1 for weight in before])
        assert models.from_state_dict(model, arrays) is model
        for value, kept in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(value, kept)
        again = models.to_state_dict(model, family.name)
        assert again.keys() == arrays.keys()
        for key, array in arrays.items():
            np.testing.assert_array_equal(again[key], array)


# Our layer and its usual PyTorch name, one line a rule.
USUAL = {
    "resnet18": {
        "conv1": "conv1.weight",
        "bn1": "bn1.running_var",
        "stage1_block2_conv1": "layer1.1.conv1.weight",
        "stage2_block1_shortcut": "layer2.0.shortcut.0.weight",
        "stage2_block1_shortcut_bn": "layer2.0.shortcut.1.weight",
        "fc": "linear.weight",
    },
    "resnet18_preactivation": {
        "stage4_block2_bn2": "layer4.1.bn2.weight",
        "stage2_block1_shortcut": "layer2.0.shortcut.0.weight",
        "fc": "linear.weight",
    },
    "resnet18_imagenet": {
        "stage4_block1_bn2": "layer4.0.bn2.weight",
        "stage2_block1_shortcut": "layer2.0.downsample.0.weight",
        "stage2_block1_shortcut_bn": "layer2.0.downsample.1.weight",
        "fc": "fc.weight",
    },
    "resnet8x4": {
        "stage1_block1_shortcut": "layer1.0.downsample.0.weight",
        "fc": "fc.weight",
    },
    "cnn_s": {
        "conv2": "conv2.weight",
        "bn2": "conv2_bn.running_mean",
        "fc2": "fc2.weight",
    },
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_names(name):
    model = models.build(name, (32, 32, 3), 10)
    arrays = models.to_state_dict(model)
    for layer, tensor in USUAL[name].items():
        variable = model.get_layer(layer).weights[0]
        assert arrays[tensor].size == np.prod(variable.shape)
    # Every variable has its place.
    assert sum(array.size for array in arrays.values()) == sum(
        np.prod(weight.shape) for weight in model.weights
    )


# Networks with these layers, whether or not this library builds them.
NAMES = {
    "wide_resnet": {
        "conv1": "conv1",
        "stage2_block1_bn1": "block2.layer.0.bn1",
        "stage2_block1_conv1": "block2.layer.0.conv1",
        "stage2_block3_bn2": "block2.layer.2.bn2",
        "stage2_block1_shortcut": "block2.layer.0.convShortcut",
        "bn_last": "bn1",
        "fc": "fc",
    },
    "vgg": {
        "block1_conv1": "block0.0",
        "block1_bn1": "block0.1",
        "block5_conv2": "block4.3",
        "block5_bn2": "block4.4",
        "fc": "classifier",
    },
    "mobilenet": {
        "conv1": "model.0.0",
        "bn1": "model.0.1",
        "block13_depthwise": "model.13.0",
        "block13_depthwise_bn": "model.13.1",
        "block13_pointwise": "model.13.3",
        "block13_pointwise_bn": "model.13.4",
        "fc": "fc",
    },
    "torchvision": {
        "conv1": "conv1",
        "bn1": "bn1",
        "stage3_block6_conv3": "layer3.5.conv3",
        "stage3_block6_bn3": "layer3.5.bn3",
        "stage3_block1_shortcut_bn": "layer3.0.downsample.1",
        "fc": "fc",
    },
}


def stand_in(names):
    items = []
    for name in names:
        if "bn" in name:
            items.append(layers.BatchNormalization(name=name))
        elif "depthwise" in name:
            items.append(layers.DepthwiseConv2D(1, name=name))
        elif name == "fc":
            items += [layers.GlobalAveragePooling2D()]
            items += [layers.Dense(3, name="fc")]
        else:
            items.append(layers.Conv2D(3, 1, name=name))
    return shuffle(small(*items))


@pytest.mark.parametrize("family", NAMES)
def test_names_of_families(family):
    model, other = stand_in(NAMES[family]), stand_in(NAMES[family])
    shuffle(other, seed=1)
    arrays = models.to_state_dict(model)
    stems = {name.rpartition(".")[0] for name in arrays}
    assert stems == set(NAMES[family].values())
    models.from_state_dict(other, arrays)
    for layer, module in NAMES[family].items():
        weight = other.get_layer(layer).weights[0]
        np.testing.assert_array_equal(
            np.sort(np.ravel(weight)),
            np.sort(np.ravel(arrays[f"{module}.weight"])),
        )


def test_a_network_of_no_paper_has_its_layers_names():
    model = small(layers.Conv2D(2, 3, name="stem"))
    assert set(models.to_state_dict(model)) == {"stem.weight", "stem.bias"}


def test_another_family_may_be_asked_for():
    model = models.build("resnet18", (32, 32, 3), 10)
    assert "fc.weight" in models.to_state_dict(model, family="torchvision")
    with pytest.raises(UserError, match="'vgg'. Expected one of: kuangliu"):
        models.to_state_dict(model, family="vgg")


def test_wrappers_are_dropped():
    model = shuffle(models.build("cnn_s", (32, 32, 1), 10))
    arrays = models.to_state_dict(model)
    other = models.build("cnn_s", (32, 32, 1), 10)
    wrapped = {f"module._orig_mod.{name}": arrays[name] for name in arrays}
    models.from_state_dict(other, wrapped)
    np.testing.assert_array_equal(
        other.get_layer("fc1").kernel, model.get_layer("fc1").kernel
    )
    with pytest.raises(UserError, match=r"has .* twice"):
        models.from_state_dict(other, wrapped | arrays)


def test_what_does_not_fit_is_listed_and_changes_nothing():
    model = models.build("cnn_s", (32, 32, 3), 10)
    arrays = models.to_state_dict(model)
    del arrays["conv1_bn.running_mean"]
    arrays["conv9.weight"] = np.zeros(3)
    arrays["fc2.bias"] = np.zeros(7)
    arrays["fc1.bias"] = np.full(64, "a")
    arrays["conv1.weight"] = arrays["conv1.weight"] + 1
    before = model.get_weights()
    with pytest.raises(UserError) as error:
        models.from_state_dict(model, arrays, source="some.npz")
    assert str(error.value) == (
        "some.npz does not fit model 'cnn_s' by the names of 'indistill': "
        "fc1.bias is of type <U1; fc2.bias is (7,), expected (10,); "
        "missing conv1_bn.running_mean; unknown conv9.weight."
    )
    for value, kept in zip(model.get_weights(), before):
        np.testing.assert_array_equal(value, kept)


def test_many_differences_are_counted():
    model = models.build("resnet8", (32, 32, 3), 10)
    # Nine convolutions, nine normalisations of four tensors and two tensors of
    # fc are missing, one is unknown: 48, of which 20 are shown.
    with pytest.raises(UserError, match="; and 28 more"):
        models.from_state_dict(model, {"x.weight": np.zeros(1)})


def test_layers_without_a_pytorch_layout():
    model = small(layers.GroupNormalization(1, name="norm"))
    with pytest.raises(UserError, match="'norm' is a GroupNormalization"):
        models.to_state_dict(model)


def test_bfloat16_variables_survive():
    dense = layers.Dense(2, name="fc1", dtype="bfloat16")
    model = small(dense, shape=(3,))
    arrays = models.to_state_dict(model)
    assert arrays["fc1.weight"].dtype == "float32"
    before = model.get_weights()
    models.from_state_dict(shuffle(model), arrays)
    for value, kept in zip(model.get_weights(), before):
        np.testing.assert_array_equal(value, kept)
