"""Training from labels by the fused step, against Keras' own `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from indistill_tf import models
from indistill_tf.training.fused_network import FusedNetwork

SHAPE, CLASSES = (32, 32, 3), 4
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    images = random.normal(size=(8, *SHAPE)).astype("float32")
    return images, random.integers(0, CLASSES, 8)


def conv(x, name, **options):
    x = layers.Conv2D(6, 3, padding="same", name=name)(x)
    return layers.ReLU()(layers.BatchNormalization(**options)(x))


def head(images, x):
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(CLASSES)(x), name="own")


def nested():
    """A network in a network, one of them frozen, as when it is fine-tuned."""
    inside = keras.Input(SHAPE)
    trunk = keras.Model(inside, conv(inside, "conv_1"), name="trunk")
    trunk.trainable = False
    images = keras.Input(SHAPE)
    return head(images, conv(trunk(images, training=False), "conv_2"))


def regularized():
    l2 = keras.regularizers.L2(0.1)
    images = keras.Input(SHAPE)
    x = conv(images, "conv_1", gamma_regularizer=l2)
    x = conv(x, "conv_2", activity_regularizer=l2)
    x = layers.Conv2D(6, 1, kernel_regularizer=l2, activity_regularizer=l2)(x)
    return head(images, x)


class Halved(layers.BatchNormalization):
    """Normalisation with a `call` of its own."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training, mask) / 2


def own_normalisation():
    images = keras.Input(SHAPE)
    x = Halved()(layers.Conv2D(6, 3)(images))
    return head(images, conv(x, "conv"))


def by_name(name):
    return lambda: models.build(name, SHAPE, CLASSES)


LARGE = "wrn_16_2", "mobilenet_v1"
NETWORKS = {
    **{name: by_name(name) for name in ("cnn_s", "cnn_a", "resnet8")},
    **{name: by_name(name) for name in LARGE},
    "nested": nested,
    "regularized": regularized,
    "own normalisation": own_normalisation,
}


def itself(network):
    return network


def made(build, kind):
    keras.utils.set_random_seed(1)
    network = build()
    model = kind(network)
    # Plain descent shows a gradient of the wrong size, which Adam would hide.
    model.compile(
        optimizer=keras.optimizers.SGD(0.01), loss=LOSS, metrics=["accuracy"]
    )
    model.optimizer.build(model.trainable_variables)
    return network, model


def stepped(build, kind, batch, weights=None):
    """Returns all weights, as one vector, before and after a step; the logs."""
    network, model = made(build, kind)
    if weights is not None:
        network.set_weights(weights)
    before = network.get_weights()
    logs = model.train_on_batch(*batch, return_dict=True)
    tested = model.test_on_batch(*batch, return_dict=True)
    return before, network.get_weights(), [logs, tested]


def distance(some, others):
    return np.sqrt(sum(np.sum((x - y) ** 2) for x, y in zip(some, others)))


@pytest.fixture
def in_float64():
    """Returns a function that runs another in double precision."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()

    def run(function, *args):
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        try:
            return function(*args)
        finally:
            keras.config.set_floatx(floatx)
            keras.config.set_dtype_policy(policy)

    return run


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(build, id=name, marks=[pytest.mark.long] * (name in LARGE))
        for name, build in NETWORKS.items()
    ],
)
def test_a_step_is_near_the_exact_one(build, batch, in_float64):
    before, found, logs = stepped(build, FusedNetwork, batch)
    _, by_keras, logs_by_keras = stepped(build, itself, batch)
    _, exact, _ = in_float64(stepped, build, itself, batch, before)
    error = distance(by_keras, exact)
    assert 0 < error < 1e-4 * distance(exact, before)
    # With one thread products are rounded otherwise: 2.2 times as far from the
    # exact ones, or by 1.1e-5 of the step.
    most = max(3 * error, 2e-5 * distance(exact, before))
    assert distance(found, exact) < most
    for mine, theirs in zip(logs, logs_by_keras, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_a_step_by_hand():
    images = keras.Input((1, 1, 1))
    norm = layers.BatchNormalization(momentum=0.5, epsilon=0.0)
    network = keras.Model(images, layers.Flatten()(norm(images)))
    model = FusedNetwork(network)
    model.compile(
        optimizer=keras.optimizers.SGD(0.25), loss="mean_squared_error"
    )
    pixels = np.reshape([1.0, 3.0], (2, 1, 1, 1)).astype("float32")
    loss = model.train_on_batch(pixels, np.array([[1.0], [1.0]]))
    # Of mean 2 and variance 1: -1 and 1. Errors -2 and 0.
    assert loss == 2.0
    # Gradients: gamma (-2 * -1 + 0) = 2, beta -2.
    gamma, beta, mean, variance = (float(x[0]) for x in network.get_weights())
    assert (gamma, beta) == (0.5, 0.5)
    assert (mean, variance) == (1.0, 1.0)


def test_files_are_the_networks(batch, tmp_path):
    """A plain network goes on where a fused one stopped, and back."""
    build = NETWORKS["resnet8"]
    network, model = made(build, FusedNetwork)
    model.train_on_batch(*batch)
    model.save_weights(tmp_path / "fused.weights.h5")
    other, plain = made(build, itself)
    plain.load_weights(tmp_path / "fused.weights.h5")
    for mine, theirs in zip(other.variables, network.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert int(plain.optimizer.iterations) == 1
    plain.save_weights(tmp_path / "plain.weights.h5")
    _, again = made(build, FusedNetwork)
    again.load_weights(tmp_path / "plain.weights.h5")
    assert int(again.optimizer.iterations) == 1
    first, second = (
        m.train_on_batch(*batch, return_dict=True) for m in (model, again)
    )
    assert first["loss"] == pytest.approx(second["loss"], rel=1e-6)


def test_images_are_changed_at_random_in_training(batch):
    images = keras.Input(SHAPE)
    flip = layers.RandomBrightness(1.0, value_range=(-9, 9), seed=0)
    network = keras.Model(images, layers.Flatten()(flip(images)))
    model = FusedNetwork(network)
    assert np.abs(model(batch[0], training=True) - model(batch[0])).max() > 0
    plain = tf.reshape(batch[0], (8, -1))
    np.testing.assert_array_equal(model(batch[0]), plain)
