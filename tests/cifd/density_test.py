import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf.cifd import density as densities
from indistill_tf.cifd.density import FactorizedDensity
from indistill_tf.cifd.density import GaussianDensity
from indistill_tf.errors import UserError


def logistic(v):
    return 1 / (1 + np.exp(-v))


def column(values, width):
    values = np.asarray(values, "float32")
    return np.repeat(values[:, None], width, axis=1)


def trained(steps):
    """A density of 2 dimensions fitted to two very different codes."""
    density = FactorizedDensity()
    rng = np.random.default_rng(0)
    codes = np.stack(
        [rng.normal(20, 1, 256), rng.choice([-9, 4], 256)], axis=1
    ).astype("float32")
    density(codes)
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(density.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            rate = tf.reduce_mean(density(codes))
        variables = density.trainable_variables
        optimizer.apply(tape.gradient(rate, variables), variables)
        return rate

    rates = [float(step()) for _ in range(steps)]
    return density, rates


def test_a_logistic_density_by_hand():
    # No hidden layer: F(v) = sigmoid(v / 2 + 1 / 4), init_scale 2.
    density = FactorizedDensity(hidden=(), init_scale=2.0)
    density.build((None, 1))
    density.biases[0].assign(np.full((1, 1, 1, 1), 0.25))
    values = np.array([-6.0, -0.5, 0.0, 0.3, 8.0])
    expected = logistic(values / 2 + 0.5) - logistic(values / 2)
    likelihood = density.likelihood(column(values, 1))[:, 0]
    np.testing.assert_allclose(likelihood, expected, rtol=1e-5)
    # At 0: sigmoid(1/2) - sigmoid(0) = 0.122459, 2.099977 nats.
    np.testing.assert_allclose(likelihood[2], 0.122459, atol=1e-6)
    rate = density(np.zeros((1, 1), "float32"))
    np.testing.assert_allclose(rate, [2.099977], atol=1e-5)


def test_one_hidden_unit_by_hand():
    # H = softplus(0) = ln 2 twice, b = (0, 1), tanh(a) = 1/2:
    # f(v) = ln 2 (w + tanh(w) / 2) + 1 with w = v ln 2.
    density = FactorizedDensity(hidden=(1,))
    density.build((None, 1))
    for matrix in density.matrices:
        matrix.assign(np.zeros(matrix.shape))
    density.biases[0].assign(np.zeros((1, 1, 1, 1)))
    density.biases[1].assign(np.ones((1, 1, 1, 1)))
    density.gates[0].assign(np.full((1, 1, 1, 1), np.arctanh(0.5)))

    def f(v):
        w = v * np.log(2)
        return np.log(2) * (w + np.tanh(w) / 2) + 1

    values = np.array([-3.0, 0.0, 2.5])
    expected = logistic(f(values + 0.5)) - logistic(f(values - 0.5))
    likelihood = density.likelihood(column(values, 1))[:, 0]
    np.testing.assert_allclose(likelihood, expected, rtol=1e-5)


def test_the_untrained_density_is_about_as_wide_as_init_scale():
    density = FactorizedDensity()
    at_zero = density.likelihood(np.zeros((1, 400), "float32"))
    # A logistic of scale 10 has 1/40 at its middle; biases shift it.
    assert 0.7 / 40 < float(np.mean(at_zero)) <= 1.001 / 40


@pytest.mark.parametrize("offset", [0.0, 0.37])
def test_likelihoods_sum_to_one(offset):
    density = FactorizedDensity()
    codes = column(np.arange(-500, 501) + offset, 7)
    total = np.sum(density.likelihood(codes), axis=0)
    np.testing.assert_allclose(total, np.ones(7), atol=1e-4)


def test_a_trained_density_sums_and_integrates_to_one():
    density, rates = trained(300)
    total = np.sum(density.likelihood(column(np.arange(-900, 901), 2)), axis=0)
    np.testing.assert_allclose(total, [1, 1], atol=1e-4)
    fine = np.arange(-900, 900, 0.1)
    area = np.sum(density.likelihood(column(fine, 2)), axis=0) * 0.1
    np.testing.assert_allclose(area, [1, 1], atol=1e-4)
    # No rate is below the entropy, and this one has come near it: ln 2 nats
    # for -9 or 4, and 1.4189 for a normal variable of deviation 1.
    assert 1.4189 + 0.6931 < rates[-1] < 1.4189 + 0.6931 + 0.5


def test_far_tails_are_floored_and_have_gradients():
    density = FactorizedDensity()
    codes = tf.Variable(column([-1e4, -1e3, 1e3, 1e4], 3))
    with tf.GradientTape() as tape:
        rate = density(codes)
    # 3 * -ln 1e-9 = 62.1698.
    np.testing.assert_allclose(rate, np.full(4, 62.1698), rtol=1e-5)
    to_codes, *others = tape.gradient(
        rate, [codes, *density.trainable_variables]
    )
    assert all(np.isfinite(g).all() for g in [to_codes, *others])
    # Descent brings a lost code back.
    assert (np.sign(to_codes) == np.sign(codes)).all()
    assert np.abs(to_codes).min() > 0.05


def test_a_code_in_the_very_middle_is_not_lost():
    # The ends' logits are opposite there; a sign would be 0.
    density = FactorizedDensity(hidden=(), init_scale=1.0)
    density.build((None, 1))
    density.biases[0].assign(np.zeros((1, 1, 1, 1)))
    likelihood = density.likelihood(np.zeros((1, 1), "float32"))
    # sigmoid(1/2) - sigmoid(-1/2)
    np.testing.assert_allclose(likelihood, [[0.244919]], atol=1e-6)


def test_modules_side_by_side_equal_modules_alone():
    together = FactorizedDensity(modules=3)
    codes = np.random.default_rng(0).normal(0, 9, (3, 5, 4)).astype("float32")
    rates = together(codes)
    assert rates.shape == (3, 5)
    for index in range(3):
        alone = FactorizedDensity()
        alone.build((None, 4))
        for its, all_of in zip(alone.weights, together.weights):
            its.assign(all_of[index : index + 1])
        np.testing.assert_allclose(alone(codes[index]), rates[index], rtol=1e-5)
    assert np.ptp(rates[:, 0]) > 0


@pytest.mark.parametrize("name", densities.DENSITIES)
def test_float32_whatever_the_policy(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        density = densities.density(name)
        rate = density(np.ones((2, 4), "float16"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert rate.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in density.weights)
    assert density.compute_dtype == "float32"


def test_a_gaussian_rate_by_hand():
    # mu = 1, sigma = 2: (1 + 4 - 1) / 2 - ln 2 = 1.306853; mu = 0, sigma = 1
    # costs nothing.
    codes = np.array([[1, 0, np.log(2), 0]], "float32")
    np.testing.assert_allclose(GaussianDensity()(codes), [1.306853], rtol=1e-6)


@pytest.mark.parametrize("name", densities.DENSITIES)
def test_densities_are_exchangeable(name):
    density = densities.density(name, modules=2)
    encoded = np.random.normal(size=(2, 5, 3 * density.encoder_outputs))
    encoded = encoded.astype("float32")
    noisy = density.noise(seed=0)(encoded, training=True)
    assert noisy.shape == (2, 5, 3)
    rate = density(noisy if density.reads_noisy else encoded)
    assert rate.shape == density.compute_output_shape(encoded.shape) == (2, 5)


@pytest.mark.parametrize("kind", [FactorizedDensity, GaussianDensity])
def test_serializes_as_a_keras_object(kind):
    config = keras.saving.serialize_keras_object(kind(modules=4, name="q"))
    again = keras.saving.deserialize_keras_object(config)
    assert (type(again), again.modules, again.name) == (kind, 4, "q")


def test_errors():
    with pytest.raises(UserError, match="factorized, gaussian"):
        densities.density("vampprior")
    with pytest.raises(UserError, match=r"\[M, N, C\]"):
        FactorizedDensity(modules=2)(np.zeros((3, 4), "float32"))
    with pytest.raises(UserError, match="above 0"):
        FactorizedDensity(init_scale=0)
    with pytest.raises(UserError, match="even width"):
        GaussianDensity()(np.zeros((3, 5), "float32"))
    with pytest.raises(UserError, match="at least 1"):
        GaussianDensity(modules=0)
