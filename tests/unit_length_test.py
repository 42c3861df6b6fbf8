import keras
import numpy as np
import pytest

from indistill_tf import unit_length

VECTORS = np.random.default_rng(0).normal(size=(4, 5, 3))


@pytest.mark.parametrize("scale", [1, 1e-3, 1e6])
def test_lengths_are_one(scale):
    for values in (
        unit_length.of_tensor(scale * VECTORS),
        unit_length.of_array(scale * VECTORS),
    ):
        lengths = np.linalg.norm(values, axis=-1)
        np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_dtypes():
    half = keras.ops.cast(VECTORS, "bfloat16")
    assert unit_length.of_tensor(half).dtype.name == "float32"
    for dtype in ("float32", "float64"):
        values = unit_length.of_array(VECTORS.astype(dtype))
        assert values.dtype == dtype


def test_zero_stays_zero():
    zeros = np.zeros((2, 3), "float32")
    assert not np.any(unit_length.of_tensor(zeros))
    assert not np.any(unit_length.of_array(zeros))


def test_floor():
    short = np.array([[3e-20, 4e-20]])
    tiny = np.finfo("float64").tiny
    np.testing.assert_allclose(unit_length.of_array(short, tiny), [[0.6, 0.8]])
    assert unit_length.of_array(short).max() < 1e-7
