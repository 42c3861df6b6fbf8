import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError


def test_config_round_trip():
    loss = losses.SoftenedKL(temperature=2.5, name="kd")
    again = losses.SoftenedKL.from_config(loss.get_config())
    assert (again.temperature, again.name) == (2.5, "kd")


def test_serializes_as_a_keras_object():
    config = keras.saving.serialize_keras_object(losses.SoftenedKL(3.0))
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, losses.SoftenedKL)
    assert again.temperature == 3.0


def test_hand_computed_value():
    # p_t = (3/4, 1/4), p_s = (1/2, 1/2), T = 2:
    # 4 * (3/4 ln(3/2) + 1/4 ln(1/2)) = 0.523248
    teacher = np.array([[2 * np.log(3), 0.0]], "float32")
    value = losses.softened_kl(teacher, np.zeros((1, 2), "float32"), 2.0)
    assert float(value) == pytest.approx(0.523248, abs=1e-6)


def test_gradient_is_the_difference_of_probabilities():
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=(5, 7)).astype("float32")
    student = tf.constant(rng.normal(size=(5, 7)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = losses.softened_kl(teacher, student, 3.0)
    expected = tf.nn.softmax(student / 3) - tf.nn.softmax(teacher / 3.0)
    np.testing.assert_allclose(
        tape.gradient(value, student), expected * 3 / 5, atol=1e-6
    )


def test_a_constant_per_row_changes_nothing():
    teacher = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    student = teacher + np.array([[1.0], [-2.0], [3.0], [0.5]], "float32")
    value = float(losses.softened_kl(teacher, student))
    assert value == pytest.approx(0, abs=1e-6)


def test_half_precision_is_computed_in_float32():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 8, 10)).astype("float16")
    value = losses.softened_kl(teacher, student)
    assert value.dtype == "float32"
    expected = losses.softened_kl(
        teacher.astype("float32"), student.astype("float32")
    )
    assert float(value) == float(expected)


def test_layer_equals_function():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 8, 10)).astype("float32")
    layer = losses.SoftenedKL(temperature=2.0)
    assert float(layer(teacher, student)) == pytest.approx(
        float(losses.softened_kl(teacher, student, 2.0))
    )


def test_bad_temperature():
    with pytest.raises(UserError, match="above 0. Received: temperature=0"):
        losses.SoftenedKL(temperature=0)


def test_one_sigmoid_is_two_classes():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 6, 1))
    classes = [
        np.concatenate([logits, np.zeros_like(logits)], axis=-1)
        for logits in (teacher, student)
    ]
    expected = losses.softened_kl(*classes, temperature=2.0)
    value = losses.softened_kl(teacher, student, 2.0, sigmoid=True)
    assert float(value) == pytest.approx(float(expected))


def test_several_sigmoids_are_their_mean():
    teacher, student = np.random.default_rng(0).normal(size=(2, 6, 3))
    alone = [
        losses.softened_kl(teacher[:, [i]], student[:, [i]], sigmoid=True)
        for i in range(3)
    ]
    loss = losses.SoftenedKL(sigmoid=True)
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert float(again(teacher, student)) == pytest.approx(
        np.mean(alone), rel=1e-5
    )


def test_sigmoids_that_are_certain_stay_finite():
    teacher, student = np.array([[200.0]]), np.array([[-200.0]])
    value = losses.softened_kl(teacher, student, 1.0, sigmoid=True)
    assert float(value) == pytest.approx(200)
