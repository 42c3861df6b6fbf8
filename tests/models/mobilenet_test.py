import keras
import numpy as np
import pytest

from indistill_tf import models


@pytest.fixture(scope="module")
def model():
    return models.build("mobilenet_v1", (32, 32, 1), 10)


def test_names(model):
    all_names = [layer.name for layer in model.layers]
    assert all_names[:6] == [
        "image",
        "conv1_pad",
        "conv1",
        "bn1",
        "relu1",
        "block1_depthwise",
    ]
    block = [name for name in all_names if name.startswith("block4_")]
    assert block == [
        "block4_depthwise_pad",
        "block4_depthwise",
        "block4_depthwise_bn",
        "block4_depthwise_relu",
        "block4_pointwise",
        "block4_pointwise_bn",
        "block4_pointwise_relu",
    ]
    for tap, block in ((1, 3), (2, 5), (3, 11), (4, 13)):
        norm = model.get_layer(f"block{block}_pointwise_bn").output
        assert model.get_layer(f"tap_{tap}").input is norm


def test_strides(model):
    strided = [
        layer.name
        for layer in model.layers
        if getattr(layer, "strides", (1, 1)) == (2, 2)
    ]
    assert strided == [
        "conv1",
        *(f"block{i}_depthwise" for i in (2, 4, 6, 12)),
    ]


@pytest.mark.parametrize("name", ["conv1", "block2_depthwise"])
def test_strided_convolutions_are_centred(model, name):
    # On a 4 x 4 image they are centred on (0, 0), (0, 2), (2, 0), (2, 2).
    layer = model.get_layer(name)
    kernel = np.zeros(layer.kernel.shape, "float32")
    kernel[1, 1, 0, 0] = 1
    layer.kernel.assign(kernel)
    image = np.zeros((1, 4, 4, kernel.shape[2]), "float32")
    image[0, :, :, 0] = np.arange(16).reshape(4, 4)
    maps = layer(model.get_layer(f"{name}_pad")(image))[0, :, :, 0]
    np.testing.assert_array_equal(maps, [[0, 2], [8, 10]])


def test_plain_relu(model):
    activations = [x for x in model.layers if isinstance(x, keras.layers.ReLU)]
    assert len(activations) == 27
    assert {layer.max_value for layer in activations} == {None}


def test_depthwise_filters_start_at_the_size_of_nine_inputs(model):
    # sqrt(2 / 9) = 0.471; 9,216 values estimate it to 0.004.
    kernel = model.get_layer("block13_depthwise").kernel
    np.testing.assert_allclose(np.std(kernel), 0.471, atol=0.015)
