import pytest
from keras import layers

from indistill_tf import models
from indistill_tf.errors import UserError


def pools(name, size):
    model = models.build(name, (size, size, 3), 10)
    return [
        layer.name
        for layer in model.layers
        if isinstance(layer, layers.MaxPooling2D)
    ]


@pytest.mark.parametrize("size, expected", [(32, 3), (63, 3), (64, 4)])
def test_the_fourth_block_is_pooled_in_larger_images(size, expected):
    names = [f"pool{i}" for i in range(1, expected + 1)]
    assert pools("vgg8", size) == names


def test_names_and_biases():
    model = models.build("vgg13", (32, 32, 3), 10)
    assert [layer.name for layer in model.layers[:8]] == [
        "image",
        "block1_conv1",
        "block1_bn1",
        "block1_relu1",
        "block1_conv2",
        "block1_bn2",
        "tap_1",
        "pool1",
    ]
    convolutions = [x for x in model.layers if isinstance(x, layers.Conv2D)]
    assert len(convolutions) == 10
    assert all(layer.use_bias for layer in convolutions)
    assert model.get_layer("embedding").input is (
        model.get_layer("tap_5").output
    )


def test_errors():
    with pytest.raises(UserError, match=r"one of \[8, 13\].*depth=16"):
        models.vgg((32, 32, 3), 10, depth=16)
    with pytest.raises(UserError, match="1 x 1 pixels meets a window of 2"):
        models.build("vgg8", (7, 7, 3), 10)
    models.build("vgg8", (8, 8, 3), 10)
