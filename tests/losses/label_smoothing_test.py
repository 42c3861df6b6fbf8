import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.errors import UserError


def test_serialization():
    loss = losses.SmoothedCrossentropy(0.3)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert again.label_smoothing == 0.3


def test_by_hand():
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    labels = np.array([0, 1])
    value = losses.SmoothedCrossentropy(0.3)(labels, logits)
    # Labels of 0.8 and twice 0.1, in bits 1, 2, 2: 0.8 + 0.4 bits.
    first = 1.2 * np.log(2)
    second = -0.8 * np.log(0.8) - 0.2 * np.log(0.1)
    assert float(value) == pytest.approx((first + second) / 2, rel=1e-6)


def test_without_smoothing_it_is_crossentropy():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(8, 5)), random.integers(0, 5, 8)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(plain(labels, logits))
    found = float(losses.SmoothedCrossentropy(0.0)(labels, logits))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("part", [-0.1, 1.0])
def test_out_of_range(part):
    with pytest.raises(UserError, match="from 0 to below 1"):
        losses.SmoothedCrossentropy(part)
