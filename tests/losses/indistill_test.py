import numpy as np
import pytest

from indistill_tf import losses


def test_config_round_trip():
    again = losses.FeatureMSE.from_config(
        losses.FeatureMSE(name="tap").get_config()
    )
    assert again.name == "tap"


@pytest.mark.parametrize("shape", [(2, 3, 3, 4), (5, 8, 8, 2)])
def test_an_offset_gives_its_square_whatever_the_shape(shape):
    teacher = np.random.default_rng(0).normal(size=shape).astype("float32")
    value = losses.FeatureMSE()(teacher, teacher + 0.5)
    assert float(value) == pytest.approx(0.25, rel=1e-5)


def test_equal_maps_give_zero():
    teacher = np.ones((2, 3, 3, 4), "float32")
    assert float(losses.feature_mse(teacher, teacher)) == 0
