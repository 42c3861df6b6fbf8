import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf.errors import UserError
from indistill_tf.training import ReferenceSGD

SETTINGS = [
    {"momentum": 0.9, "weight_decay": 5e-4},
    {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    {"momentum": 0.0, "weight_decay": 0.1},
    {"momentum": 0.9},
]
RATES = [0.05] * 5 + [0.005] * 5


def replay(
    weights, gradients, rates, momentum=0.0, weight_decay=0.0, nesterov=False
):
    """The reference step in float64, written from its formula."""
    weights, found, velocity = weights.astype("float64"), [], None
    for gradient, rate in zip(gradients.astype("float64"), rates):
        gradient = gradient + weight_decay * weights
        first = velocity is None
        velocity = gradient if first else momentum * velocity + gradient
        ahead = gradient + momentum * velocity
        weights = weights - rate * (ahead if nesterov else velocity)
        found.append(weights)
    return np.stack(found)


def steps(optimizer, weights, gradients, rates, dtype="float32"):
    """Applies the gradients in a compiled function."""
    variable = keras.Variable(weights, dtype=dtype)
    optimizer.build([variable])

    @tf.function
    def step(gradient):
        optimizer.apply([gradient], [variable])

    found = []
    for gradient, rate in zip(gradients, rates):
        optimizer.learning_rate = rate
        step(tf.constant(gradient, dtype))
        found.append(variable.numpy())
    return np.stack(found)


@pytest.fixture
def problem():
    """Weights, none near 0, and ten gradients."""
    random = np.random.default_rng(0)
    weights = random.uniform(1, 2, (3, 4)) * random.choice([-1, 1], (3, 4))
    return weights, random.normal(size=(10, 3, 4))


@pytest.mark.parametrize("settings", SETTINGS)
def test_equals_a_float64_replay(settings, problem):
    weights, gradients = problem
    found = steps(ReferenceSGD(0.05, **settings), weights, gradients, RATES)
    expected = replay(weights, gradients, RATES, **settings)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("settings", SETTINGS)
def test_float64(settings, problem):
    weights, gradients = problem
    # Rates that float32, in which Keras keeps them, holds exactly.
    rates = [2**-4] * 5 + [2**-7] * 5
    optimizer = ReferenceSGD(2**-4, **settings)
    found = steps(optimizer, weights, gradients, rates, "float64")
    expected = replay(weights, gradients, rates, **settings)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def sizes_of_steps(optimizer):
    """Steps of a constant gradient; the rate drops to 1/10 after 50."""
    rates = [1.0] * 50 + [0.1] * 6
    path = steps(optimizer, np.zeros(1), np.ones((56, 1)), rates)
    return -np.diff(path[:, 0])[-7:]


def test_a_drop_of_the_rate_acts_at_once():
    ours = sizes_of_steps(ReferenceSGD(1.0, momentum=0.9))
    # The velocity is (1 - 0.9**50) / 0.1 = 9.948 before the drop.
    assert ours[:2] == pytest.approx([9.948, 0.995], abs=1e-3)
    kerass = sizes_of_steps(keras.optimizers.SGD(1.0, momentum=0.9))
    assert kerass[:3] == pytest.approx([9.948, 9.054, 8.248], abs=1e-3)


def test_decay_reaches_every_variable_with_a_gradient():
    optimizer = ReferenceSGD(0.5, weight_decay=0.1)
    layer = keras.layers.BatchNormalization()
    layer.build((None, 2))
    gamma, beta = layer.trainable_variables
    beta.assign([2.0, 2.0])
    zero = tf.zeros(2)
    optimizer.build([gamma, beta])
    optimizer.apply([zero], [gamma])
    np.testing.assert_allclose(gamma, 0.95)
    np.testing.assert_array_equal(beta, 2.0)
    optimizer.apply([zero], [beta])
    np.testing.assert_allclose(beta, 1.9)


def test_exclusion_from_decay():
    optimizer = ReferenceSGD(0.5, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    kernel = keras.Variable([1.0], name="kernel")
    bias = keras.Variable([1.0], name="bias")
    optimizer.apply([tf.zeros(1)] * 2, [kernel, bias])
    np.testing.assert_allclose([kernel[0], bias[0]], [0.95, 1])


def test_config_round_trip():
    settings = {"momentum": 0.8, "weight_decay": 0.1, "nesterov": True}
    optimizer = ReferenceSGD(
        0.25, gradient_accumulation_steps=4, clipnorm=1.0, **settings
    )
    config = keras.optimizers.serialize(optimizer)
    again = keras.optimizers.deserialize(config)
    assert type(again) is ReferenceSGD
    assert again.get_config() == optimizer.get_config()
    assert again.coupled_weight_decay == 0.1


@pytest.mark.parametrize("settings", SETTINGS[:2])
def test_accumulation_decays_once_an_update(settings, problem):
    weights, gradients = problem
    optimizer = ReferenceSGD(0.05, gradient_accumulation_steps=5, **settings)
    found = steps(optimizer, weights, gradients, RATES)[[4, 9]]
    means = gradients.reshape(2, 5, 3, 4).mean(axis=1)
    expected = replay(weights, means, [0.05, 0.005], **settings)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("accumulation", [None, 2])
def test_loss_scaling_cancels(accumulation, problem):
    weights, gradients = problem
    settings = {
        **SETTINGS[0],
        "gradient_accumulation_steps": accumulation,
    }
    plain = steps(ReferenceSGD(0.05, **settings), weights, gradients, RATES)
    scaling = keras.optimizers.LossScaleOptimizer(
        ReferenceSGD(0.05, **settings), initial_scale=2.0**10
    )
    scaled = steps(scaling, weights, gradients * 2.0**10, RATES)
    np.testing.assert_allclose(scaled, plain, rtol=1e-6)


def train(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        network = keras.Sequential(
            [
                keras.Input((5,)),
                keras.layers.Dense(7, activation="tanh"),
                keras.layers.Dense(3),
            ]
        )
        network.compile(
            ReferenceSGD(0.1, **SETTINGS[1]),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        network.optimizer.build(network.trainable_variables)
    images = np.random.default_rng(0).normal(size=(128, 5))
    network.fit(
        images,
        np.arange(128) % 3,
        batch_size=32,
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    return np.concatenate([weight.ravel() for weight in network.get_weights()])


def test_two_replicas(mirrored):
    one = train(tf.distribute.get_strategy())
    np.testing.assert_allclose(train(mirrored), one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"momentum": 1.5}, "`momentum` must lie between 0 and 1"),
        ({"nesterov": True}, "`nesterov` needs a `momentum` above 0"),
        ({"weight_decay": -1}, "`weight_decay` must be 0 or more"),
    ],
)
def test_bad_numbers(settings, message):
    with pytest.raises(UserError, match=message):
        ReferenceSGD(**settings)
