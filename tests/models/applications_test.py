import keras
import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.models.applications import NetworkPixels

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


@pytest.mark.parametrize(
    "module, expected",
    [
        # Blue, green, red, each less its mean over ImageNet.
        ("resnet", (30 - 103.939, 20 - 116.779, 10 - 123.68)),
        ("mobilenet_v2", (10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1)),
        (
            "densenet",
            (
                (10 / 255 - 0.485) / 0.229,
                (20 / 255 - 0.456) / 0.224,
                (30 / 255 - 0.406) / 0.225,
            ),
        ),
        ("efficientnet", (10, 20, 30)),
    ],
)
def test_networks_read_the_pixels_they_were_made_for(module, expected):
    pixels = np.array([10, 20, 30]) / 255
    image = ((pixels - MEAN) / STD).astype("float32")[None, None, None]
    pixel = NetworkPixels(module, MEAN, STD)(image)[0, 0, 0]
    np.testing.assert_allclose(pixel, expected, rtol=1e-4, atol=1e-4)


def test_grey_images_become_three_channels():
    layer = NetworkPixels("efficientnet", (0.5,), (0.2,))
    pixels = layer(np.ones((1, 2, 2, 1), "float32"))
    # (1 * 0.2 + 0.5) * 255
    np.testing.assert_allclose(pixels, np.full((1, 2, 2, 3), 178.5), rtol=1e-6)


def test_config_round_trip():
    layer = NetworkPixels("resnet", MEAN, STD)
    again = NetworkPixels.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_build_by_name_and_save(tmp_path):
    model = models.build("MobileNetV3Small", (32, 32, 1), 7)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 1))
    images = images.astype("float32")
    expected = model(images)
    assert expected.shape == (2, 7)
    model.save(tmp_path / "model.keras")
    again = models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(images), expected)


def test_every_name_exists_in_keras():
    for network, module in models.APPLICATIONS.items():
        assert hasattr(keras.applications, network)
        assert hasattr(getattr(keras.applications, module), "preprocess_input")


def test_errors():
    with pytest.raises(UserError, match="InceptionV3 cannot be built.*8, 8, 3"):
        models.build("InceptionV3", (8, 8, 3), 10)
    with pytest.raises(UserError, match="weights='imagenet'.*1000"):
        models.build("ResNet50", (64, 64, 3), 10, weights="imagenet")
    with pytest.raises(UserError, match="Unknown model.*vgg8.*ResNet50"):
        models.build("ResNet51", (64, 64, 3), 10)
