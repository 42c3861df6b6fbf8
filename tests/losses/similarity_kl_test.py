import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(12, 8)).astype("float32"),
        rng.normal(size=(12, 5)).astype("float32"),
    )


def test_hand_computed_value():
    # Rows without the diagonal, teacher: a right angle and 45 degrees, so with
    # T = 1 / (sqrt(2) ln 3) the softmax is (1/4, 3/4) in rows 1 and 2, and
    # (1/2, 1/2) in row 3. The student, all alike, says (1/2, 1/2) everywhere:
    # (2 * (1/4 ln(1/2) + 3/4 ln(3/2)) + 0) / 3 = 0.0872080
    teacher = np.array([[1, 0], [0, 1], [2, 2]], "float32")
    student = np.array([[1, 0], [1, 0], [3, 0]], "float32")
    temperature = 1 / (np.sqrt(2) * np.log(3))
    value = losses.similarity_kl(teacher, student, temperature)
    assert float(value) == pytest.approx(0.0872080, abs=1e-6)


def test_layer_equals_function_and_survives_its_config(features):
    loss = losses.SimilarityKL(0.3, teacher_temperature=0.2, name="task")
    again = losses.SimilarityKL.from_config(loss.get_config())
    assert again.name == "task"
    expected = losses.similarity_kl(*features, 0.3, 0.2)
    assert float(again(*features)) == pytest.approx(float(expected))


def test_equal_features_give_zero_value_and_gradient(features):
    student = tf.constant(features[0])
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = losses.similarity_kl(features[0], student)
    assert float(value) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(tape.gradient(value, student), 0, atol=1e-6)


def test_a_dead_sample_has_a_finite_gradient(features):
    dead = np.zeros((1, 5), "float32")
    student = tf.constant(np.concatenate([dead, features[1][1:]]))
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = losses.similarity_kl(features[0], student)
    gradient = tape.gradient(value, student)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0], 0)


def test_one_sample_gives_zero():
    value = losses.similarity_kl(np.ones((1, 4)), np.ones((1, 3)))
    assert float(value) == 0


def test_a_batch_in_half_precision_is_compared_in_float32(features):
    half = [part.astype("float16") for part in features]
    value = losses.similarity_kl(*half)
    assert value.dtype == "float32"
    wider = [part.astype("float32") for part in half]
    assert float(value) == float(losses.similarity_kl(*wider))


def test_a_colder_teacher_is_compared_as_if_its_cosines_were_larger():
    # The teacher at half the temperature of the hand-computed value: its
    # softmax is (1/10, 9/10) in rows 1 and 2.
    # (2 * (1/10 ln(1/5) + 9/10 ln(9/5)) + 0) / 3 = 0.2453761
    teacher = np.array([[1, 0], [0, 1], [2, 2]], "float32")
    student = np.array([[1, 0], [1, 0], [3, 0]], "float32")
    temperature = 1 / (np.sqrt(2) * np.log(3))
    value = losses.similarity_kl(teacher, student, temperature, temperature / 2)
    assert float(value) == pytest.approx(0.2453761, abs=1e-6)


@pytest.mark.parametrize("name", ["temperature", "teacher_temperature"])
def test_temperatures_must_be_positive(name):
    with pytest.raises(UserError, match=f"above 0. Received: {name}=0"):
        losses.SimilarityKL(**{name: 0})


LOGITS = np.array([[np.log(3), 0.0]] * 12, "float32")


def test_with_classes_adds_the_divergence_of_logits(features):
    # p_t = (3/4, 1/4) and p_s = (1/2, 1/2): 0.130812 nats.
    loss = losses.SimilarityWithClasses(temperature=0.3, class_weight=2.0)
    value = loss((features[0], LOGITS), (features[1], np.zeros_like(LOGITS)))
    expected = losses.similarity_kl(*features, temperature=0.3)
    assert float(value - expected) == pytest.approx(2 * 0.130812, abs=1e-5)


def test_with_classes_of_sigmoids(features):
    # Of (3/4, 1/2) and (1/2, 1/2), each with its rest: the mean of 0.130812, 0.
    loss = losses.SimilarityWithClasses(sigmoid=True)
    value = loss((features[0], LOGITS), (features[0], np.zeros_like(LOGITS)))
    assert float(value) == pytest.approx(0.065406, abs=1e-5)


def test_with_classes_survives_its_config():
    loss = losses.SimilarityWithClasses(0.3, 2.0, 0.2, sigmoid=True)
    again = losses.SimilarityWithClasses.from_config(loss.get_config())
    assert again.get_config() == loss.get_config()
    found = again.temperature, again.class_weight, again.teacher_temperature
    assert (*found, again.sigmoid) == (0.3, 2.0, 0.2, True)
