import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.errors import UserError

TERMS = [losses.pearson_inter, losses.pearson_intra]


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 16, 10)).astype("float32")


def test_config_round_trip():
    config = keras.saving.serialize_keras_object(
        losses.Pearson(4.0, inter_weight=1.0, intra_weight=3.0, name="kd")
    )
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, losses.Pearson)
    assert (again.temperature, again.name) == (4.0, "kd")
    assert (again.inter_weight, again.intra_weight) == (1.0, 3.0)


def test_hand_computed_values():
    teacher = 2 * np.eye(2, 3, dtype="float32")
    student = teacher[::-1].copy()
    inter = losses.pearson_inter(teacher, student)
    intra = losses.pearson_intra(teacher, student)
    # The third class is constant, hence uncorrelated: 1 - (-1 - 1 + 0) / 3.
    assert float(inter) == pytest.approx(1.5, abs=1e-6)
    assert float(intra) == pytest.approx(5 / 3, abs=1e-6)


def test_layer_adds_the_authors_factor_of_two(logits):
    value = losses.Pearson(temperature=4.0)(*logits)
    expected = 2 * sum(float(term(*logits, 4.0)) for term in TERMS)
    assert float(value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("term", TERMS)
def test_equal_soft_logits_give_zero(term, logits, value_and_gradient):
    value, gradient = value_and_gradient(term, logits[0], logits[0])
    assert value == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_absent_classes_count_as_uncorrelated():
    # One very confident class a row: most columns have norms near 1e-6, so
    # the intra term is near 1 even for a perfect student, as published.
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=(32, 1000)).astype("float32")
    teacher[np.arange(32), rng.integers(0, 1000, 32)] += 14
    assert float(losses.pearson_intra(teacher, teacher)) > 0.5
    assert float(losses.pearson_intra(teacher, teacher, 4.0)) < 0.2 * 16
    inter = float(losses.pearson_inter(teacher, teacher))
    assert inter == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_range(term, temperature, logits):
    value = float(term(logits[0], -logits[0], temperature))
    assert temperature**2 < value <= 2 * temperature**2


@pytest.mark.parametrize("term", TERMS)
def test_a_constant_per_row_changes_nothing(term, logits):
    teacher, student = logits
    shift = np.linspace(-3, 3, 16, dtype="float32")[:, None]
    value = float(term(teacher, student + shift))
    assert value == pytest.approx(float(term(teacher, student)), rel=1e-5)


def test_an_affine_map_of_probabilities_changes_nothing(logits):
    teacher = np.exp(logits[0]) / np.exp(logits[0]).sum(1, keepdims=True)
    student = np.log(0.3 * teacher + 0.7 / 10)
    value = losses.pearson_inter(logits[0], student)
    assert float(value) == pytest.approx(0, abs=1e-5)
    value = losses.pearson_intra(logits[0], student)
    assert float(value) == pytest.approx(0, abs=1e-5)


def test_two_classes_are_correlated_fully_or_not_at_all():
    teacher = np.array([[1, 0], [0, 2], [3, 0]], "float32")
    student = np.array([[5, 0], [0, 1], [0, 1]], "float32")
    value = losses.pearson_inter(teacher, student)
    assert float(value) == pytest.approx(2 / 3, abs=1e-5)


def test_one_sample_has_no_correlation_within_a_class(logits):
    value = losses.pearson_intra(logits[0][:1], logits[1][:1], 2.0)
    assert float(value) == pytest.approx(4)


@pytest.mark.parametrize("term", TERMS)
def test_constant_logits_are_finite(term, logits, value_and_gradient):
    value, gradient = value_and_gradient(
        term, logits[0], np.zeros_like(logits[1])
    )
    assert value == pytest.approx(1)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("term", TERMS)
def test_half_precision_is_computed_in_float32(term, logits):
    value = term(*logits.astype("float16"))
    assert value.dtype == "float32"
    expected = term(*logits.astype("float16").astype("float32"))
    assert float(value) == float(expected)


def test_bad_temperature():
    with pytest.raises(UserError, match="above 0. Received: temperature=-1"):
        losses.Pearson(temperature=-1)
