import re

import keras
import pytest
from keras import layers
from keras import ops

from indistill_tf import models
from indistill_tf.graph import front


def network(*parts, name="net"):
    inputs = x = keras.Input((16, 16, 3))
    for part in parts:
        x = part(x)
    x = layers.Conv2D(4, 3)(x)
    x = layers.Dropout(0.1)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(x), name=name)


@pytest.mark.parametrize(
    "parts, name",
    [
        ([layers.Rescaling(1 / 255, name="own")], "own"),
        ([layers.Normalization(mean=100, variance=9, name="own")], "own"),
        (
            [layers.RandomFlip(), layers.Resizing(8, 8)]
            + [layers.Rescaling(2, -1, name="own")],
            "own",
        ),
        ([lambda images: images / 255], "true_divide"),
        ([lambda images: ops.subtract(images, 127.5)], "subtract"),
        ([layers.ZeroPadding2D(1)], None),
        ([layers.Conv2D(3, 3), layers.Rescaling(2)], None),
    ],
)
def test_scaling_layer(parts, name):
    found = front.scaling_layer(network(*parts))
    # Keras numbers the operations that it names itself.
    assert re.sub(r"_\d+$", "", str(found)) == str(name)


def test_scaling_within_a_model_inside():
    inner = network(layers.Rescaling(1 / 255, name="own"), name="inner")
    outer = keras.Sequential([keras.Input((16, 16, 3)), inner])
    assert front.scaling_layer(outer) == "own"


def test_networks_of_this_package_read_normalised_images():
    for name in ("cnn_s", "EfficientNetB0"):
        model = models.build(name, (32, 32, 3), 10)
        # What scales in EfficientNet is given pixels by a layer before it.
        assert front.scaling_layer(model) is None
        assert front.random_layers(model) == []


class Jitter(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(0)

    def call(self, images):
        shape = (ops.shape(images)[0], 1, 1, 1)
        return images * keras.random.uniform(shape, 0.5, 1.5, seed=self.seed)


def test_random_layers():
    model = network(
        layers.Rescaling(1 / 255),
        layers.RandomFlip(name="flip"),
        keras.Sequential([layers.RandomRotation(0.1, name="turn")]),
        layers.Pipeline([layers.RandomZoom(0.1)], name="zoomed"),
        Jitter(name="jitter"),
        layers.GaussianNoise(0.1),
    )
    assert front.random_layers(model) == ["flip", "turn", "zoomed", "jitter"]
