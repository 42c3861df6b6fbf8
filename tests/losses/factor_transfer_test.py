import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError


def random_map(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built_loss(teacher, student, **options):
    loss = losses.FactorTransfer(**options)
    loss.build(teacher.shape, student.shape)
    return loss


def test_config_round_trip():
    loss = losses.FactorTransfer(rate=0.25, name="tap")
    again = losses.FactorTransfer.from_config(loss.get_config())
    assert again.name == "tap"
    assert again.rate == 0.25


def test_hand_computed_value():
    teacher = np.array([[3, 4]], "float32")
    student = np.array([[1, 0]], "float32")
    value = losses.factor_distance(teacher, student)
    assert float(value) == pytest.approx(0.6, abs=1e-6)


def test_scale_of_either_factor_changes_nothing():
    teacher, student = random_map(2, 3, 4, 4, 5)
    expected = float(losses.factor_distance(teacher, student))
    scale = np.array([0.5, 2, 30], "float32").reshape(3, 1, 1, 1)
    value = float(losses.factor_distance(scale * teacher, student))
    assert value == pytest.approx(expected, rel=1e-5)
    value = float(losses.factor_distance(teacher, scale * student))
    assert value == pytest.approx(expected, rel=1e-5)


def test_order_of_one_factors_channels_matters():
    teacher = np.abs(random_map(3, 4, 4, 5))
    assert float(losses.factor_distance(teacher, teacher)) == 0
    assert float(losses.factor_distance(teacher, teacher[..., ::-1])) > 0.01


def test_zero_factors_have_finite_gradients():
    teacher = random_map(3, 4, 4, 5)
    student = random_map(3, 4, 4, 5, seed=1)
    student[0] = 0
    student = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = losses.factor_distance(teacher, student)
    gradient = tape.gradient(value, student).numpy()
    assert np.isfinite(float(value))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0], 0)


def test_half_precision_is_computed_in_float32():
    teacher, student = (200 * random_map(2, 3, 4, 4, 5)).astype("float16")
    value = losses.factor_distance(teacher, student)
    assert value.dtype == "float32"
    expected = losses.factor_distance(
        teacher.astype("float32"), student.astype("float32")
    )
    assert float(value) == float(expected)


def test_paraphraser_and_translator_have_the_papers_widths():
    teacher, student = random_map(2, 4, 4, 8), random_map(2, 4, 4, 6)
    loss = built_loss(teacher, student, rate=0.5)
    factor = loss.encoder(teacher)
    assert factor.shape == loss.translator(student).shape == (2, 4, 4, 4)
    assert loss.decoder(factor).shape == teacher.shape
    paraphraser, translator = (
        [tuple(item.shape) for item in variables if len(item.shape) == 4]
        for variables in (loss.preparation_variables, loss.student_variables)
    )
    down = [(3, 3, 8, 8), (3, 3, 8, 4), (3, 3, 4, 4)]
    # Kernels of transposed convolutions are [height, width, out, in].
    up = [(3, 3, 4, 4), (3, 3, 8, 4), (3, 3, 8, 8)]
    assert paraphraser == down + up
    assert translator == [(3, 3, 6, 6), (3, 3, 6, 4), (3, 3, 4, 4)]


def test_a_factor_has_at_least_one_channel():
    teacher = random_map(2, 4, 4, 3)
    loss = built_loss(teacher, teacher, rate=0.1)
    assert loss.encoder(teacher).shape == (2, 4, 4, 1)


def test_leaky_relu_has_slope_one_tenth():
    pixel = np.full((1, 1, 1, 1), -1, "float32")
    loss = built_loss(pixel, pixel, rate=1.0)
    for item in loss.trainable_variables:
        centre = np.zeros(item.shape, "float32")
        centre[(1, 1) if len(item.shape) == 4 else ()] = len(item.shape) == 4
        item.assign(centre)
    for stack in (loss.encoder, loss.decoder, loss.translator):
        value = float(np.squeeze(stack(pixel)))
        assert value == pytest.approx(-0.001, rel=1e-5)


def test_preparation_lowers_the_reconstruction_loss():
    maps = np.abs(random_map(8, 4, 4, 4))
    loss = built_loss(maps, maps)
    optimizer = keras.optimizers.Adam(1e-2)
    translator = loss.translator.get_weights()
    history = []
    for _ in range(15):
        with tf.GradientTape() as tape:
            value = loss.prepare(maps, labels=None)
        variables = loss.preparation_variables
        optimizer.apply(tape.gradient(value, variables), variables)
        history.append(float(value))
    reconstruction = np.asarray(loss.decoder(loss.encoder(maps)))
    expected = np.abs(maps - reconstruction).mean()
    value = float(loss.prepare(maps, labels=None))
    assert value == pytest.approx(float(expected), rel=1e-5)
    assert value < 0.9 * history[0]
    for item, before in zip(loss.translator.get_weights(), translator):
        np.testing.assert_array_equal(item, before)


def test_preparation_is_computed_in_float32():
    maps = random_map(2, 4, 4, 8).astype("float16")
    loss = built_loss(maps, maps)
    value = loss.prepare(maps, labels=None)
    assert value.dtype == "float32"
    expected = loss.prepare(maps.astype("float32"), labels=None)
    assert float(value) == float(expected)


def test_call_trains_the_translator_and_never_the_paraphraser():
    teacher, student = random_map(4, 4, 4, 8), random_map(4, 4, 4, 6)
    loss = built_loss(teacher, student)
    with tf.GradientTape() as tape:
        value = loss(teacher, student)
    gradients = tape.gradient(
        value, loss.student_variables + loss.preparation_variables
    )
    assert len(gradients) == 6 + 12
    assert all(np.abs(item).max() > 0 for item in gradients[:6])
    assert all(item is None for item in gradients[6:])
    expected = losses.factor_distance(
        loss.encoder(teacher), loss.translator(student)
    )
    assert float(value) == pytest.approx(float(expected))


def test_preparation_trains_the_paraphraser_alone():
    teacher, student = random_map(4, 4, 4, 8), random_map(4, 4, 4, 6)
    loss = built_loss(teacher, student)
    with tf.GradientTape() as tape:
        value = loss.prepare(teacher, labels=None)
    gradients = tape.gradient(
        value, loss.preparation_variables + loss.student_variables
    )
    assert all(np.abs(item).max() > 0 for item in gradients[:12])
    assert all(item is None for item in gradients[12:])


def test_symbolic_call_builds_paraphraser_and_translator():
    loss = losses.FactorTransfer()
    value = loss(keras.Input((4, 4, 8)), keras.Input((4, 4, 6)))
    assert value.shape == ()
    assert len(loss.student_variables) == 6
    assert len(loss.preparation_variables) == 12


def test_weights_survive_a_file(tmp_path):
    inputs = [keras.Input((4, 4, 8)), keras.Input((4, 4, 6))]
    loss = losses.FactorTransfer(rate=0.25, name="loss")
    keras.Model(inputs, loss(*inputs)).save(tmp_path / "loss.keras")
    again = keras.saving.load_model(tmp_path / "loss.keras").get_layer("loss")
    assert len(again.student_variables) == 6
    maps = random_map(2, 4, 4, 8), random_map(2, 4, 4, 6)
    assert float(again(*maps)) == pytest.approx(float(loss(*maps)))
    value = float(again.prepare(maps[0], labels=None))
    expected = float(loss.prepare(maps[0], labels=None))
    assert value == pytest.approx(expected)


def test_maps_of_different_sizes_are_refused():
    loss = losses.FactorTransfer()
    with pytest.raises(UserError, match=r"teacher \(4, 4\), student \(8, 8\)"):
        loss(random_map(2, 4, 4, 8), random_map(2, 8, 8, 6))


def test_bad_rate():
    with pytest.raises(UserError, match="above 0. Received: rate=0"):
        losses.FactorTransfer(rate=0)
