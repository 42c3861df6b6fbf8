import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.errors import UserError


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 16, 10)).astype("float32")


def test_config_round_trip(logits):
    config = keras.saving.serialize_keras_object(
        losses.NormalizedKL(temperature=1.5, name="kd")
    )
    again = keras.saving.deserialize_keras_object(config)
    assert (again.temperature, again.name) == (1.5, "kd")
    assert float(again(*logits)) == pytest.approx(
        float(losses.normalized_kl(*logits, 1.5))
    )


@pytest.mark.parametrize(
    "temperature, expected", [(1.0, 4.601683), (2.0, 5.122507)]
)
def test_hand_computed_values(temperature, expected):
    teacher = np.array([[2, 0, -2]], "float32")
    value = losses.normalized_kl(teacher, teacher[:, ::-1].copy(), temperature)
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_scale_and_offset_of_the_student_do_not_matter(logits):
    teacher, student = logits
    value = losses.normalized_kl(teacher, 7 * teacher + 3)
    assert float(value) == pytest.approx(0, abs=1e-5)
    value = float(losses.normalized_kl(teacher, 7 * student + 3))
    expected = float(losses.normalized_kl(teacher, student))
    assert value == pytest.approx(expected, rel=1e-4)


def test_the_teachers_scale_enters_squared(logits):
    teacher, student = logits
    value = float(losses.normalized_kl(3 * teacher, student))
    expected = 9 * float(losses.normalized_kl(teacher, student))
    assert value == pytest.approx(expected, rel=1e-4)


def test_no_gradient_along_the_students_own_scale(logits, value_and_gradient):
    teacher, student = logits
    _, gradient = value_and_gradient(losses.normalized_kl, teacher, student)
    centred = student - student.mean(1, keepdims=True)
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose((gradient * centred).sum(1), 0, atol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1234.567])
def test_constant_logits_are_finite(constant, logits, value_and_gradient):
    teacher, student = logits.copy()
    student[[3, 5]] = constant
    teacher[[5, 7]] = constant
    value, gradient = value_and_gradient(losses.normalized_kl, teacher, student)
    assert np.isfinite(value)
    assert np.abs(gradient).max() < 100
    assert not gradient[[3, 5]].any()
    assert not gradient[7].any()


def test_a_zero_head_is_compared_as_equal_probabilities(logits):
    teacher = logits[0]
    zeros = np.zeros_like(teacher)
    deviation = teacher.std(1, ddof=1, keepdims=True)
    expected = losses.softened_kl(teacher / deviation, zeros, 2.0)
    value = losses.normalized_kl(teacher / deviation, zeros, 2.0)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_half_precision_is_computed_in_float32(logits):
    value = losses.normalized_kl(*logits.astype("float16"))
    assert value.dtype == "float32"
    expected = losses.normalized_kl(*logits.astype("float16").astype("float32"))
    assert float(value) == float(expected)


def test_bad_temperature():
    with pytest.raises(UserError, match="above 0. Received: temperature=0"):
        losses.NormalizedKL(temperature=0)
