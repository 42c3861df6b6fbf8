import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.errors import UserError


def test_normalisation():
    preprocessing = data.Preprocessing((1, 1), (0.5, 0.2), (0.25, 0.1))
    found = preprocessing(np.array([[[[255, 51]]]], "uint8"))
    np.testing.assert_allclose(found, [[[[2.0, 0.0]]]], atol=1e-6)


def test_padding_centres_on_black():
    preprocessing = data.Preprocessing((4, 4), (0.0,), (1.0,), "pad")
    found = preprocessing.fit_size(np.full((1, 2, 2, 1), 7, "uint8"))
    expected = np.pad(np.full((2, 2), 7), 1)
    np.testing.assert_array_equal(found[0, :, :, 0], expected)


def test_bilinear_keeps_dtype_and_range():
    preprocessing = data.Preprocessing((4, 4), (0.0,), (1.0,))
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), "uint8")
    found = preprocessing.fit_size(tf.constant(images))
    assert found.dtype == tf.uint8
    assert found.shape == (2, 4, 4, 3)
    constant = preprocessing.fit_size(np.full((1, 9, 7, 3), 200, "uint8"))
    np.testing.assert_array_equal(constant, np.full((1, 4, 4, 3), 200))


def test_too_large_to_pad():
    preprocessing = data.Preprocessing((4, 4), (0.0,), (1.0,), "pad")
    with pytest.raises(UserError, match="5 pixels cannot be padded to 4"):
        preprocessing(np.zeros((1, 4, 5, 1), "uint8"))


def test_unknown_resize():
    with pytest.raises(UserError, match="'bilinear', 'pad'"):
        data.Preprocessing((4, 4), (0.0,), (1.0,), "stretch")


def test_input_shape():
    assert data.Preprocessing((4, 5), (0,) * 3, (1,) * 3).input_shape == (
        4,
        5,
        3,
    )
