import keras
import numpy as np
import pytest

from indistill_tf import Distiller
from indistill_tf import losses
from indistill_tf.errors import UserError


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 16, 10)).astype("float32")


@pytest.fixture
def labels():
    return np.arange(16) % 10


# Probabilities 1/2, 1/4, 1/4 of the teacher and 1/4, 1/2, 1/4 of the student;
# the first class is right.
TEACHER, STUDENT = np.log([[2, 1, 1]]), np.log([[1, 2, 1]])
# 0.5 log(0.5 / 0.25) + 0.5 log(0.5 / 0.75)
TARGET = 0.1438410
# 0.5 log(0.5 / 0.6667) + 0.5 log(0.5 / 0.3333)
OTHERS = 0.0588915


@pytest.mark.parametrize(
    ("target", "other"), [(1.0, 0.0), (0.0, 1.0), (1.0, 8.0)]
)
def test_hand_computed_values(target, other):
    value = losses.decoupled_kl(TEACHER, STUDENT, [0], 1.0, target, other)
    expected = target * TARGET + other * OTHERS
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_the_temperature_divides_and_enters_squared():
    value = losses.decoupled_kl(2 * TEACHER, 2 * STUDENT, [0], 2.0)
    expected = 4 * (TARGET + 8 * OTHERS)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_its_parts_are_those_of_the_original(logits, labels):
    teacher, student = logits
    for one in range(16):
        rows = slice(one, one + 1)
        p = np.exp(teacher[one] / 4) / np.exp(teacher[one] / 4).sum()
        value = losses.decoupled_kl(
            *(teacher[rows], student[rows], labels[rows], 4.0),
            other_weight=1 - p[labels[one]],
        )
        expected = losses.softened_kl(teacher[rows], student[rows], 4.0)
        assert float(value) == pytest.approx(float(expected), rel=1e-4)


def test_labels_of_other_shapes(logits, labels):
    expected = float(losses.decoupled_kl(*logits, labels))
    for other in (labels[:, None], np.eye(10)[labels]):
        value = float(losses.decoupled_kl(*logits, other))
        assert value == pytest.approx(expected, rel=1e-6)


def test_sure_networks_have_finite_gradients(labels, value_and_gradient):
    sure = 200 * np.eye(10, dtype="float32")[labels]
    value, gradient = value_and_gradient(
        lambda x, y: losses.decoupled_kl(x, y, labels), sure, -sure
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_config_round_trip(logits, labels):
    loss = losses.DecoupledKL(2.0, target_weight=0.5, other_weight=3.0)
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert float(again(*logits, labels=labels)) == pytest.approx(
        float(losses.decoupled_kl(*logits, labels, 2.0, 0.5, 3.0))
    )


@pytest.fixture
def teacher(build):
    return build("cnn_a")


@pytest.fixture
def distiller(teacher, build):
    distiller = Distiller(teacher=teacher, student=build("cnn_s"), method="dkd")
    distiller.compile("sgd")
    return distiller


def test_without_labels(distiller, batch, eager):
    with pytest.raises(UserError, match="needs labels"):
        distiller.fit(batch[0], batch_size=32, verbose=0)


def test_a_step(distiller, teacher, batch, eager):
    assert not distiller.needs_sample_ids
    expected = losses.decoupled_kl(
        teacher(batch[0]),
        distiller.student(batch[0], training=True),
        batch[1],
    )
    logs = distiller.train_on_batch(*batch, return_dict=True)
    assert logs["loss/task"] == pytest.approx(float(expected), rel=1e-4)
