import numpy as np
import pytest

from indistill_tf.errors import UserError
from indistill_tf.losses.guide_weights import GuideWeights


def draws(layer, count=20):
    return np.array([layer.draw(3, training=True) for _ in range(count)])


def test_weights_of_those_that_are_kept():
    weights = draws(GuideWeights(0.5, dropout=0.25, seed=0), 400)
    # The teacher's 1 and two others' 0.5, or 0.
    assert set(np.unique(weights[:, 0])) == {0.0, 1.0}
    assert set(np.unique(weights[:, 1:])) == {0.0, 0.5}
    np.testing.assert_allclose((weights > 0).mean(axis=0), 0.75, atol=0.08)


def test_nothing_is_cut_at_inference_nor_of_a_teacher_alone():
    layer = GuideWeights(0.5, dropout=0.9, seed=0)
    np.testing.assert_array_equal(layer.draw(3, training=False), [1, 0.5, 0.5])
    for _ in range(20):
        np.testing.assert_array_equal(layer.draw(1, training=True), [1])


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_errors(dropout):
    with pytest.raises(UserError, match="`dropout` must be in"):
        GuideWeights(dropout=dropout)
