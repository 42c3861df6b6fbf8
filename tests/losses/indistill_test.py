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


def test_normalised_channels_count_alike_whatever_their_scale():
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=(8, 4, 4, 2)).astype("float32")
    student = rng.normal(size=(8, 4, 4, 2)).astype("float32")
    expected = np.mean((teacher - student) ** 2 / teacher.var((0, 1, 2)))
    loss = losses.FeatureMSE(normalize=True)
    scale = np.array([1.0, 3.0], "float32")
    assert float(loss(teacher, student)) == pytest.approx(expected, rel=1e-5)
    value = float(loss(teacher * scale, student * scale))
    assert value == pytest.approx(expected, rel=1e-5)
    plain = float(losses.feature_mse(teacher * scale, student * scale))
    assert plain > 2 * expected


def test_a_channel_without_variance_does_not_outweigh_the_others():
    teacher = np.random.default_rng(0).normal(size=(8, 4, 4, 2))
    teacher[..., 1] = 5.0
    student = teacher + 1.0
    # The mean variance is half of the first channel's.
    variance = teacher[..., 0].var()
    expected = (1 / variance + 1 / (0.01 * variance / 2)) / 2
    value = float(losses.feature_mse(teacher, student, normalize=True))
    assert value == pytest.approx(expected, rel=1e-3)


def test_normalised_losses_see_the_whole_batch():
    again = losses.FeatureMSE.from_config(
        losses.FeatureMSE(normalize=True).get_config()
    )
    assert again.relational and not losses.FeatureMSE().relational
