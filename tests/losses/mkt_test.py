import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.errors import UserError

FORMS = [losses.metric_relative, losses.metric_absolute]
LAYERS = [losses.MetricRelative, losses.MetricAbsolute]


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 12, 8)).astype("float32")


@pytest.mark.parametrize("layer, form", zip(LAYERS, FORMS, strict=True))
@pytest.mark.parametrize("normalize", [False, True])
def test_config_round_trip(layer, form, normalize, features):
    config = keras.saving.serialize_keras_object(
        layer(normalize=normalize, name="task")
    )
    again = keras.saving.deserialize_keras_object(config)
    assert (again.normalize, again.name) == (normalize, "task")
    expected = float(form(*features, normalize=normalize))
    assert float(again(*features)) == pytest.approx(expected)
    assert not again.weights


def test_hand_computed_distances():
    # Distances 3 and 1: each of the two ordered pairs differs by 2.
    teacher = np.array([[0.0], [3.0]], "float32")
    student = np.array([[0.0], [1.0]], "float32")
    value = losses.metric_relative(teacher, student)
    assert float(value) == pytest.approx(8**0.5, abs=1e-6)


def test_hand_computed_distances_of_unit_vectors():
    teacher = np.array([[2, 0], [0, 5]], "float32")
    student = np.array([[1, 0], [1, 1]], "float32")
    value = losses.metric_relative(teacher, student, normalize=True)
    assert float(value) == pytest.approx(0.917608, abs=1e-6)


def test_hand_computed_displacements():
    teacher = np.zeros((2, 2), "float32")
    student = np.array([[3, 4], [0, 0]], "float32")
    value = losses.metric_absolute(teacher, student)
    assert float(value) == pytest.approx(2.5, abs=5e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("normalize", [False, True])
def test_equal_embeddings_are_finite(
    form, normalize, features, value_and_gradient
):
    value, gradient = value_and_gradient(
        lambda t, s: form(t, s, normalize), features[0], features[0]
    )
    assert value == pytest.approx(0, abs=5e-6)
    assert np.isfinite(gradient).all()


def test_equal_distances_have_no_gradient(features, value_and_gradient):
    value, gradient = value_and_gradient(
        losses.metric_relative, features[0], features[0]
    )
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("rows", [[2], [2, 7], list(range(12))])
def test_zero_rows_are_finite(
    form, normalize, rows, features, value_and_gradient
):
    teacher, student = features.copy()
    student[rows] = 0
    teacher[rows[-1]] = 0
    value, gradient = value_and_gradient(
        lambda t, s: form(t, s, normalize), teacher, student
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_duplicates_are_finite(features, value_and_gradient):
    teacher, student = features.copy()
    student[5] = student[4]
    value, gradient = value_and_gradient(
        losses.metric_relative, teacher, student
    )
    assert np.isfinite(value)
    assert np.abs(gradient).max() < 10


def test_rotation_and_translation_change_no_distance(features):
    teacher, student = features
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    moved = (student @ rotation + 100).astype("float32")
    value = float(losses.metric_relative(teacher, moved))
    expected = float(losses.metric_relative(teacher, student))
    assert value == pytest.approx(expected, rel=1e-4)


def test_scale_changes_nothing_between_unit_vectors(features):
    teacher, student = features
    scale = np.linspace(0.5, 3, 12, dtype="float32")[:, None]
    value = losses.metric_relative(teacher, scale * student, normalize=True)
    expected = losses.metric_relative(teacher, student, normalize=True)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_the_relative_form_grows_with_the_batch(features):
    twice = [np.concatenate([part, part]) for part in features]
    value = float(losses.metric_relative(*twice))
    expected = 2 * float(losses.metric_relative(*features))
    assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_one_sample(form, value_and_gradient):
    _, gradient = value_and_gradient(
        form, np.ones((1, 4), "float32"), np.zeros((1, 4), "float32")
    )
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("form", FORMS)
def test_maps_are_flattened_per_sample(form):
    maps = np.random.default_rng(0).normal(size=(2, 6, 4, 4, 3))
    maps = maps.astype("float32")
    flat = maps.reshape(2, 6, -1)
    assert float(form(*maps)) == pytest.approx(float(form(*flat)))


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_is_computed_in_float32(form, features):
    value = form(*features.astype("float16"))
    assert value.dtype == "float32"
    expected = form(*features.astype("float16").astype("float32"))
    assert float(value) == float(expected)


def test_the_absolute_form_needs_equal_widths():
    with pytest.raises(UserError, match="widths: teacher=1, student=3"):
        losses.metric_absolute(np.ones((2, 1)), np.ones((2, 3)))


def test_the_relative_form_does_not():
    value = losses.metric_relative(np.eye(3), np.eye(3, 5) * 2)
    assert float(value) == pytest.approx(12**0.5)


def test_an_adapter_where_widths_differ(features):
    teacher, student = features
    layer = losses.MetricAbsolute()
    value = layer(teacher, student[:, :5])
    assert layer.adapter.kernel.shape == (5, 8)
    assert len(layer.trainable_variables) == 2
    adapted = layer.adapter(student[:, :5])
    expected = losses.metric_absolute(teacher, adapted)
    assert float(value) == pytest.approx(float(expected))


def test_a_symbolic_call_builds_the_adapter():
    layer = losses.MetricAbsolute()
    output = layer(keras.Input((4, 4, 2)), keras.Input((3,)))
    assert output.shape == ()
    assert layer.adapter.kernel.shape == (3, 32)
    maps = np.ones((2, 4, 4, 2), "float32")
    assert np.isfinite(float(layer(maps, np.ones((2, 3), "float32"))))
