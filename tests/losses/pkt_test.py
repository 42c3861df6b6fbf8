import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses

FORMS = [losses.probabilistic_kl, losses.probabilistic_jeffreys]
LAYERS = [losses.ProbabilisticKL, losses.ProbabilisticJeffreys]


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(12, 8)).astype("float32"),
        rng.normal(size=(12, 5)).astype("float32"),
    )


@pytest.mark.parametrize("layer, form", zip(LAYERS, FORMS, strict=True))
def test_layer_equals_function_and_survives_its_config(layer, form, features):
    again = layer.from_config(layer(name="task").get_config())
    assert again.name == "task"
    assert float(again(*features)) == pytest.approx(float(form(*features)))


def test_hand_computed_values():
    teacher = np.array([[1, 0], [0, 1]], "float32")
    student = np.array([[1, 0], [1, 0]], "float32")
    kl = losses.probabilistic_kl(teacher, student)
    jeffreys = losses.probabilistic_jeffreys(teacher, student)
    assert float(kl) == pytest.approx(0.0283165, abs=1e-6)
    assert float(jeffreys) == pytest.approx(0.1488367, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_equal_features_give_zero_value_and_gradient(form, features):
    student = tf.constant(features[0])
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = form(features[0], student)
    assert float(value) == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(tape.gradient(value, student), 0, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_same_permutation_of_both_batches_changes_nothing(form, features):
    order = np.random.default_rng(1).permutation(12)
    permuted = form(features[0][order], features[1][order])
    assert float(permuted) == pytest.approx(float(form(*features)), rel=1e-5)


def test_cosine_form_ignores_scale_and_rotation(features):
    teacher, student = features
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    scale = rng.uniform(0.5, 2, size=(12, 1))
    changed = ((student @ rotation) * scale).astype("float32")
    value = float(losses.probabilistic_kl(teacher, changed))
    expected = float(losses.probabilistic_kl(teacher, student))
    assert value == pytest.approx(expected, rel=1e-4)


def test_two_kernel_form_feels_the_scale(features):
    teacher, student = features
    value = float(losses.probabilistic_jeffreys(teacher, 3 * student))
    expected = float(losses.probabilistic_jeffreys(teacher, student))
    assert abs(value - expected) > 0.01 * expected


def test_duplicating_the_batch_halves_the_kl_form(features):
    twice = [np.concatenate([part, part]) for part in features]
    value = float(losses.probabilistic_kl(*twice))
    expected = float(losses.probabilistic_kl(*features)) / 2
    assert value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_one_sample_gives_zero(form):
    value = form(np.ones((1, 4), "float32"), np.ones((1, 3), "float32"))
    assert float(value) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("form", FORMS)
def test_opposite_features_are_finite(form):
    student = tf.constant([[1.0, 0.0], [-1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = form(np.eye(2, dtype="float32"), student)
    assert np.isfinite(float(value))
    assert np.isfinite(tape.gradient(value, student)).all()


@pytest.mark.parametrize("form", FORMS)
def test_all_zero_features_are_finite(form, features):
    student = tf.zeros((12, 5))
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = form(features[0], student)
    assert np.isfinite(float(value))
    assert np.isfinite(tape.gradient(value, student)).all()


@pytest.mark.parametrize("form", FORMS)
def test_maps_are_flattened_per_sample(form):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 6, 4, 4, 3)).astype("float32")
    flat = maps.reshape(2, 6, -1)
    assert float(form(*maps)) == pytest.approx(float(form(*flat)))
