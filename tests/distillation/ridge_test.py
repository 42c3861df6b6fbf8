import numpy as np
import pytest

from indistill_tf.distillation.ridge import Moments


def moments(inputs, targets):
    found = Moments()
    found.add(np.array(inputs, float), np.array(targets, float))
    return found


def test_hand_computed():
    # Variance 1, covariance 2, penalty 1 * 1: 2 / (1 + 1) = 1.
    fit = moments([[1], [-1]], [[5], [1]]).fit(ridge=1.0)
    assert fit.weights.item() == 1
    assert fit.offset.item() == 3
    assert (fit.mean.item(), fit.variance.item()) == (0, 1)
    # What is left, 4 and 2 against 5 and 1, has variance 1 of 4.
    assert fit.unexplained == 0.25


def test_two_inputs_of_which_the_offset_bears_no_penalty():
    inputs = [[0, 0], [1, 0], [0, 1], [1, 1]]
    targets = [[1 + 2 * a - 3 * b, 7] for a, b in inputs]
    fit = moments(inputs, targets).fit(ridge=0.0)
    np.testing.assert_allclose(fit.weights, [[2, 0], [-3, 0]], atol=1e-12)
    np.testing.assert_allclose(fit.offset, [1, 7])
    np.testing.assert_allclose(fit.mean, [-0.5, 0], atol=1e-12)
    # 2**2 / 4 + 3**2 / 4, and nothing of the constant.
    np.testing.assert_allclose(fit.variance, [3.25, 0], atol=1e-12)
    assert fit.unexplained == pytest.approx(0, abs=1e-12)
    # Inputs of variance 1/4 under a penalty of as much: half the weights.
    fit = moments(inputs, targets).fit(ridge=1.0)
    np.testing.assert_allclose(fit.weights[:, 0], [1, -1.5])
    np.testing.assert_allclose(fit.offset, [1.5 - 0.5 + 0.25 - 0.5, 7])


def test_without_an_offset():
    # (1 * 2 + 2 * 3) / (1 * 1 + 2 * 2)
    fit = moments([[1], [2]], [[2], [3]]).fit(ridge=0.0, offset=False)
    assert fit.weights.item() == pytest.approx(1.6)
    assert fit.offset.item() == 0
    assert fit.mean.item() == pytest.approx(2.4)
    assert fit.variance.item() == pytest.approx(0.64)


def test_channel_by_channel():
    inputs = [[1, 0], [-1, 4]]
    fit = moments(inputs, [[3, 0], [-3, 2]]).fit(ridge=0.0, channelwise=True)
    np.testing.assert_allclose(fit.weights, [[3, 0], [0, 0.5]])
    np.testing.assert_allclose(fit.offset, [0, 0], atol=1e-12)


def test_samples_in_parts():
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(20, 3)), random.normal(size=(20, 2))
    parts = moments(inputs[:5], targets[:5])
    parts.add(inputs[5:], targets[5:])
    np.testing.assert_allclose(
        parts.fit().weights, moments(inputs, targets).fit().weights
    )


def test_inputs_that_do_not_vary():
    fit = moments([[2, 0], [2, 1]], [[1], [5]]).fit()
    np.testing.assert_allclose(fit.weights, [[0], [4]], atol=1e-4)
    still = moments([[2], [2]], [[1], [5]]).fit()
    assert still.weights.item() == 0
    assert (still.offset.item(), still.unexplained) == (3, 1)
