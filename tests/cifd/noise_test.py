import keras
import numpy as np
import pytest

from indistill_tf.cifd.noise import NormalNoise
from indistill_tf.cifd.noise import UniformNoise
from indistill_tf.errors import UserError

CODES = np.array([[-1.4, 0.2, 7.6]], "float32")


def test_rounds_or_passes_at_inference():
    np.testing.assert_array_equal(UniformNoise()(CODES), [[-1, 0, 8]])
    passed = UniformNoise("identity")(CODES, training=False)
    np.testing.assert_array_equal(passed, CODES)


@pytest.mark.parametrize("frozen", ["round", "identity"])
def test_uniform_in_training(frozen):
    codes = np.full((4000, 5), 3.0, "float32")
    noise = UniformNoise(frozen, seed=0)(codes, training=True) - codes
    assert -0.5 <= np.min(noise) < -0.49
    assert 0.49 < np.max(noise) <= 0.5
    # Deviations of the mean and the variance: 0.0020 and 0.0005.
    assert np.mean(noise) == pytest.approx(0, abs=0.008)
    assert np.var(noise) == pytest.approx(1 / 12, abs=0.002)


def test_short_types_do_not_bias_the_noise():
    layer = UniformNoise(seed=0, dtype="bfloat16")
    codes = np.zeros((20000, 5), "float32")
    noise = keras.ops.cast(layer(codes, training=True), "float32")
    # Uniform bfloat16 numbers have a mean of -0.0039.
    assert float(keras.ops.mean(noise)) == pytest.approx(0, abs=0.002)


def test_shared_axes_see_one_draw():
    layer = UniformNoise(shared_axes=(0,), seed=1)
    noise = np.asarray(layer(np.zeros((3, 4, 5), "float32"), training=True))
    np.testing.assert_array_equal(noise[0], noise[2])
    assert np.unique(noise).size == 20


def test_a_seed_gives_a_sequence():
    draws = [
        [np.asarray(layer(CODES, training=True)) for _ in range(2)]
        for layer in (UniformNoise(seed=3), UniformNoise(seed=3))
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.any(draws[0][0] != draws[0][1])


def test_float32_under_a_mixed_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        noisy = UniformNoise()(CODES, training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert noisy.dtype == "float32"


def test_normal_noise_has_the_encoders_moments():
    # Mean 2, deviation 1/2.
    codes = np.tile([[2.0, np.log(0.5)]], (20000, 1)).astype("float32")
    layer = NormalNoise(seed=0)
    noisy = layer(codes, training=True)
    assert noisy.shape == (20000, 1)
    assert np.mean(noisy) == pytest.approx(2, abs=0.02)
    assert np.std(noisy) == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(layer(codes)[:3], [[2], [2], [2]])


def test_serializes_as_a_keras_object():
    layer = UniformNoise("identity", shared_axes=(0,), seed=5)
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.frozen, tuple(again.shared_axes), again.seed) == (
        "identity",
        (0,),
        5,
    )


def test_unknown_frozen():
    with pytest.raises(UserError, match="round, identity"):
        UniformNoise("floor")
