import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.errors import UserError


def logits(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def test_hand_computed_value():
    # T = 1 against (1/2, 1/2): (3/4, 1/4) gives 3/4 ln(3/2) + 1/4 ln(1/2) =
    # 0.130812, (1/2, 1/2) nothing; their mean.
    teacher = np.log([[[3.0, 1.0], [1.0, 1.0]]])
    loss = losses.DenselyGuided(temperature=1.0, dropout=0.0)
    value = float(loss(teacher, np.zeros((1, 2))))
    assert value == pytest.approx(0.065406, abs=1e-6)


def test_a_teacher_alone_is_hinton_s_distillation():
    rng = np.random.default_rng(0)
    teacher, student = logits(rng, 5, 4), logits(rng, 5, 4)
    loss = losses.DenselyGuided(dropout=0.9, seed=0)
    expected = float(losses.softened_kl(teacher, student, 4.0))
    assert float(loss(teacher, student)) == pytest.approx(expected, rel=1e-6)


def test_networks_are_cut_one_by_one_in_training():
    rng = np.random.default_rng(0)
    teacher, student = logits(rng, 6, 2, 4), logits(rng, 6, 4)
    first, second = (
        float(losses.softened_kl(teacher[:, i], student)) / 2 for i in (0, 1)
    )
    loss = losses.DenselyGuided(dropout=0.25, seed=0)
    values = [float(loss(teacher, student)) for _ in range(200)]
    kinds = np.array([0.0, first, second, first + second])
    nearest = np.abs(np.array(values)[:, None] - kinds).argmin(axis=1)
    np.testing.assert_allclose(values, kinds[nearest], rtol=1e-5, atol=1e-6)
    # None: 1/16, one of them: 3/16 each, both: 9/16.
    shares = np.bincount(nearest, minlength=4) / 200
    np.testing.assert_allclose(
        shares, [0.0625, 0.1875, 0.1875, 0.5625], atol=0.1
    )
    whole = float(loss(teacher, student, training=False))
    assert whole == pytest.approx(first + second, rel=1e-6)


def test_serializes_as_a_keras_object():
    loss = losses.DenselyGuided(2.0, dropout=0.5, seed=3)
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.temperature, again.dropout, again.seed) == (2.0, 0.5, 3)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_errors(dropout):
    with pytest.raises(UserError, match="`dropout` must be in"):
        losses.DenselyGuided(dropout=dropout)
