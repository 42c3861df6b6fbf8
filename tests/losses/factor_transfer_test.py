import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError


def random_map(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_config_round_trip():
    paraphraser = losses.Paraphraser(rate=0.25, name="paraphraser")
    loss = losses.FactorTransfer(paraphraser, name="tap")
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert again.name == "tap"
    assert again.paraphraser.name == "paraphraser"
    assert again.paraphraser.rate == 0.25


def test_hand_computed_value():
    teacher = np.array([[3, 4]], "float32")
    student = np.array([[1, 0]], "float32")
    value = losses.factor_distance(teacher, student)
    assert float(value) == pytest.approx(0.6, abs=1e-6)


def test_scale_of_either_factor_changes_nothing():
    teacher, student = random_map(2, 3, 4, 4, 5)
    expected = float(losses.factor_distance(teacher, student))
    scale = np.array([0.5, 2, 30], "float32").reshape(3, 1, 1, 1)
    value = float(losses.factor_distance(scale * teacher, student))
    assert value == pytest.approx(expected, rel=1e-5)
    value = float(losses.factor_distance(teacher, scale * student))
    assert value == pytest.approx(expected, rel=1e-5)


def test_order_of_one_factors_channels_matters():
    teacher = np.abs(random_map(3, 4, 4, 5))
    assert float(losses.factor_distance(teacher, teacher)) == 0
    assert float(losses.factor_distance(teacher, teacher[..., ::-1])) > 0.01


def test_zero_factors_have_finite_gradients():
    teacher = random_map(3, 4, 4, 5)
    student = random_map(3, 4, 4, 5, seed=1)
    student[0] = 0
    student = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = losses.factor_distance(teacher, student)
    gradient = tape.gradient(value, student).numpy()
    assert np.isfinite(float(value))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0], 0)


def test_half_precision_is_computed_in_float32():
    teacher, student = (200 * random_map(2, 3, 4, 4, 5)).astype("float16")
    value = losses.factor_distance(teacher, student)
    assert value.dtype == "float32"
    expected = losses.factor_distance(
        teacher.astype("float32"), student.astype("float32")
    )
    assert float(value) == float(expected)


def test_paraphraser_has_the_papers_widths():
    paraphraser = losses.Paraphraser(rate=0.5)
    maps = random_map(2, 4, 4, 8)
    assert paraphraser.factor(maps).shape == (2, 4, 4, 4)
    assert paraphraser(maps).shape == maps.shape
    kernels = [
        tuple(item.shape)
        for item in paraphraser.trainable_variables
        if len(item.shape) == 4
    ]
    down = [(3, 3, 8, 8), (3, 3, 8, 4), (3, 3, 4, 4)]
    # Kernels of transposed convolutions are [height, width, out, in].
    up = [(3, 3, 4, 4), (3, 3, 8, 4), (3, 3, 8, 8)]
    assert kernels == down + up


def test_leaky_relu_has_slope_one_tenth():
    paraphraser = losses.Paraphraser(rate=1.0)
    paraphraser.build((None, 1, 1, 1))
    for item in paraphraser.trainable_variables:
        centre = np.zeros(item.shape, "float32")
        centre[(1, 1) if len(item.shape) == 4 else ()] = len(item.shape) == 4
        item.assign(centre)
    factor = paraphraser.factor(np.full((1, 1, 1, 1), -1, "float32"))
    assert float(np.squeeze(factor)) == pytest.approx(-0.001, rel=1e-5)


def test_reconstruction_loss_falls_in_training():
    paraphraser = losses.Paraphraser()
    maps = np.abs(random_map(8, 4, 4, 4))
    optimizer = keras.optimizers.Adam(1e-2)
    history = []
    for _ in range(15):
        with tf.GradientTape() as tape:
            value = paraphraser.reconstruction_loss(maps)
        variables = paraphraser.trainable_variables
        optimizer.apply(tape.gradient(value, variables), variables)
        history.append(float(value))
    expected = np.abs(maps - np.asarray(paraphraser(maps))).mean()
    value = float(paraphraser.reconstruction_loss(maps))
    assert value == pytest.approx(float(expected), rel=1e-5)
    assert value < 0.9 * history[0]


def test_the_translator_trains_and_the_paraphraser_does_not():
    teacher, student = random_map(4, 4, 4, 8), random_map(4, 4, 4, 6)
    paraphraser = losses.Paraphraser()
    paraphraser(teacher)
    loss = losses.FactorTransfer(paraphraser)
    with tf.GradientTape() as tape:
        value = loss(teacher, student)
    gradients = tape.gradient(
        value, loss.trainable_variables + paraphraser.variables
    )
    assert len(loss.trainable_variables) == 6
    assert all(np.abs(item).max() > 0 for item in gradients[:6])
    assert all(item is None for item in gradients[6:])
    expected = losses.factor_distance(
        paraphraser.factor(teacher), loss.translator(student)
    )
    assert float(value) == pytest.approx(float(expected))


def test_symbolic_call_builds_the_translator():
    loss = losses.FactorTransfer(losses.Paraphraser())
    value = loss(keras.Input((4, 4, 8)), keras.Input((4, 4, 6)))
    assert value.shape == ()
    assert len(loss.trainable_variables) == 6
    assert len(loss.non_trainable_variables) == 12


def test_the_paraphraser_stays_frozen_in_a_loaded_model(tmp_path):
    inputs = [keras.Input((4, 4, 8)), keras.Input((4, 4, 6))]
    loss = losses.FactorTransfer(losses.Paraphraser(), name="loss")
    keras.Model(inputs, loss(*inputs)).save(tmp_path / "loss.keras")
    again = keras.saving.load_model(tmp_path / "loss.keras")
    assert len(again.trainable_variables) == 6
    again.trainable = False
    again.trainable = True
    assert len(again.trainable_variables) == 6
    maps = random_map(2, 4, 4, 8), random_map(2, 4, 4, 6)
    expected = float(loss(*maps))
    assert float(again.get_layer("loss")(*maps)) == pytest.approx(expected)


def test_maps_of_different_sizes_are_refused():
    loss = losses.FactorTransfer(losses.Paraphraser())
    with pytest.raises(UserError, match=r"teacher \(4, 4\), student \(8, 8\)"):
        loss(random_map(2, 4, 4, 8), random_map(2, 8, 8, 6))


def test_bad_rate():
    with pytest.raises(ValueError, match="above 0. Received: rate=0"):
        losses.Paraphraser(rate=0)
