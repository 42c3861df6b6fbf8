import types

import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import rankings
from indistill_tf.evaluation import kept_channels


class Preprocessing:
    input_shape = (4, 4, 2)

    def __call__(self, images):
        return images.astype("float32")


class Pixels(list):
    def images_at(self, positions):
        return np.stack([self[position] for position in positions])


@pytest.fixture
def small():
    """Sixteen images, and a map of which the last two channels are one."""
    pixels = np.random.default_rng(0).normal(size=(16, 4, 4, 2))
    images = types.SimpleNamespace(
        preprocessing=Preprocessing(), train=Pixels(pixels)
    )
    inputs = keras.Input((4, 4, 2))
    conv = layers.Conv2D(3, 1, use_bias=False, name="tap_1")
    model = keras.Model(inputs, conv(inputs))
    conv.set_weights([np.array([[[[1.0, 0, 0], [0, 5, 6]]]])])
    return model, images, pixels


def test_by_each_ranking(small):
    model, images, pixels = small
    found = kept_channels.unexplained(model, images, 1 / 3)["tap_1"]
    assert list(found) == list(rankings.RANKINGS)
    # Of two filters the highest norms belong to one and the same channel.
    covariance = np.cov(pixels.reshape(-1, 2).T, ddof=0)
    alone = covariance[0, 0] - covariance[0, 1] ** 2 / covariance[1, 1]
    whole = covariance[0, 0] + (25 + 36) * covariance[1, 1]
    for name in ("l1", "folded_l1", "energy"):
        assert found[name] == pytest.approx(alone / whole, rel=1e-4)
    assert found["reconstruction"] == pytest.approx(0, abs=1e-6)


def test_nothing_is_missing_of_what_is_not_pruned(small):
    model, images, _ = small
    found = kept_channels.unexplained(model, images, 0.0)["tap_1"]
    assert list(found.values()) == pytest.approx([0] * 4, abs=1e-6)


def test_as_many_images_as_there_are_evenly_spaced(small):
    _, images, pixels = small
    shown = kept_channels.ranking_images(images)
    np.testing.assert_array_equal(shown, pixels.astype("float32"))
    assert shown.dtype == "float32"
