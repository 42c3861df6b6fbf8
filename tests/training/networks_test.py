import types

import keras
import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.data import Preprocessing
from indistill_tf.errors import UserError
from indistill_tf.training import build_network


@pytest.fixture
def images():
    """What a network must know of a set of images."""
    return types.SimpleNamespace(
        input_shape=(32, 32, 3),
        num_classes=7,
        preprocessing=Preprocessing(
            (32, 32), (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
        ),
    )


def randomized(model):
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.uniform(0.5, 1, size=variable.shape))
    return model


def assert_equal_weights(model, other):
    assert len(model.weights) == len(other.weights)
    for mine, theirs in zip(model.weights, other.weights):
        np.testing.assert_array_equal(mine, theirs)


def test_shapes_come_from_the_images(images):
    model = build_network("cnn_s", images)
    assert model.input_shape == (None, 32, 32, 3)
    assert model.output_shape == (None, 7)


def test_unknown_name(images):
    with pytest.raises(UserError, match="Unknown model: 'cnn_x'.*cnn_s"):
        build_network("cnn_x", images)


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_weights_that_save_weights_wrote(images, tmp_path, kind):
    trained = randomized(build_network("cnn_s", images))
    models.save_weights(trained, tmp_path / "w.npz")
    found = build_network("cnn_s", images, kind(tmp_path / "w.npz"))
    assert_equal_weights(found, trained)


def test_weights_of_another_network(images, tmp_path):
    models.save_weights(build_network("cnn_s", images), tmp_path / "w.npz")
    with pytest.raises(UserError, match=r"w\.npz"):
        build_network("cnn_a", images, tmp_path / "w.npz")


@pytest.mark.long
def test_application_with_a_file_of_this_package(images, tmp_path):
    trained = randomized(build_network("MobileNetV3Small", images))
    trained.save(tmp_path / "w.keras")
    found = build_network("MobileNetV3Small", images, tmp_path / "w.keras")
    assert_equal_weights(found, trained)
    trained.save_weights(tmp_path / "w.weights.h5")
    path = str(tmp_path / "w.weights.h5")
    found = build_network("MobileNetV3Small", images, path)
    assert_equal_weights(found, trained)


def test_application_knows_how_the_images_are_normalised(images):
    model = build_network("MobileNetV3Small", images)
    config = model.layers[1].get_config()
    assert config["mean"] == (0.5, 0.4, 0.3)
    assert config["std"] == (0.2, 0.25, 0.5)


def test_application_with_a_file_of_the_kind_that_keras_offers(
    images, tmp_path
):
    trained = keras.applications.MobileNetV3Small(
        weights=None, input_shape=(32, 32, 3), classes=7
    )
    randomized(trained).save(tmp_path / "theirs.h5")
    path = tmp_path / "theirs.h5"
    found = build_network("MobileNetV3Small", images, path)
    assert_equal_weights(found, trained)


def test_missing_file(images, tmp_path):
    with pytest.raises(UserError, match="no file"):
        build_network("cnn_s", images, tmp_path / "missing.npz")
