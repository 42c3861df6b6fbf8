import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError
from indistill_tf.losses import numerics


def gradient_of(teacher, student, **options):
    student = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = losses.attention_transfer(teacher, student, **options)
    return float(value), tape.gradient(value, student).numpy()


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(3, 4, 4, 6)).astype("float32"),
        rng.normal(size=(3, 4, 4, 5)).astype("float32"),
    )


def test_config_round_trip():
    loss = losses.AttentionTransfer(power=3, squared=False, name="tap")
    again = losses.AttentionTransfer.from_config(loss.get_config())
    assert (again.power, again.squared, again.name) == (3, False, "tap")


def test_layer_equals_function(maps):
    layer = losses.AttentionTransfer(power=1, squared=False)
    expected = losses.attention_transfer(*maps, power=1, squared=False)
    assert float(layer(*maps)) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    "squared, expected", [(True, 0.142507), (False, 0.533867)]
)
def test_hand_computed_values(squared, expected):
    teacher = np.array([1, 1], "float32").reshape(1, 1, 2, 1)
    student = np.array([1, 2], "float32").reshape(1, 1, 2, 1)
    value = losses.attention_transfer(teacher, student, squared=squared)
    assert float(value) == pytest.approx(expected, abs=1e-6)


def test_disjoint_maps_reach_the_largest_value():
    teacher = np.array([3, 0], "float32").reshape(1, 1, 2, 1)
    student = np.array([0, 5], "float32").reshape(1, 1, 2, 1)
    value = losses.attention_transfer(teacher, student)
    assert float(value) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("power", [1, 2, 4])
@pytest.mark.parametrize("squared", [True, False])
def test_scale_sign_and_order_of_channels_change_nothing(maps, power, squared):
    teacher = maps[0]
    scale = np.array([2, -0.5, 7], "float32").reshape(3, 1, 1, 1)
    value, gradient = gradient_of(
        teacher, scale * teacher[..., ::-1], power=power, squared=squared
    )
    assert value == pytest.approx(0, abs=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("squared", [True, False])
def test_equal_maps_have_a_zero_gradient(maps, squared):
    value, gradient = gradient_of(maps[0], maps[0], squared=squared)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("squared", [True, False])
def test_dead_maps_have_finite_gradients(maps, power, squared):
    teacher, student = np.array(maps[0]), np.array(maps[1])
    student[0] = 0
    teacher[1] = 0
    value, gradient = gradient_of(
        teacher, student, power=power, squared=squared
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0], 0)


def test_the_larger_map_is_averaged_first(maps):
    teacher = maps[0]
    larger = teacher.repeat(2, axis=1).repeat(3, axis=2)
    for pair in ((larger, teacher), (teacher, larger)):
        value = losses.attention_transfer(*pair)
        assert float(value) == pytest.approx(0, abs=1e-10)


def test_half_precision_is_computed_in_float32(maps):
    teacher, student = (200 * part.astype("float16") for part in maps)
    value = losses.attention_transfer(teacher, student)
    assert value.dtype == "float32"
    expected = losses.attention_transfer(
        teacher.astype("float32"), student.astype("float32")
    )
    assert float(value) == float(expected)


def test_double_precision_stays(maps):
    value = losses.attention_transfer(*(m.astype("float64") for m in maps))
    assert value.dtype == "float64"


def test_bad_power():
    with pytest.raises(UserError, match="at least 1.*Received: power=0.5"):
        losses.AttentionTransfer(power=0.5)


@pytest.mark.parametrize("size", [(15, 6), (6, 2), (16, 6), (7, 7), (5, 1)])
def test_adaptive_average_pool_follows_the_bins(size):
    length, bins = size
    maps = np.random.default_rng(0).normal(size=(2, length, 8, 3))
    pooled = numerics.adaptive_average_pool(maps, (bins, 4))
    columns = maps.reshape(2, length, 4, 2, 3).mean(axis=3)
    for index in range(bins):
        start = index * length // bins
        stop = -(-(index + 1) * length // bins)
        np.testing.assert_allclose(
            pooled[:, index], columns[:, start:stop].mean(axis=1), rtol=1e-6
        )


def test_maps_of_unknown_size_are_refused_in_words():
    @tf.function(
        input_signature=[
            tf.TensorSpec((1, None, None, 2)),
            tf.TensorSpec((1, 4, 4, 2)),
        ],
        autograph=False,
    )
    def loss(teacher, student):
        return losses.attention_transfer(teacher, student)

    with pytest.raises(UserError, match=r"\(None, None\) and \(4, 4\)"):
        loss(np.ones((1, 8, 8, 2), "float32"), np.ones((1, 4, 4, 2), "float32"))
