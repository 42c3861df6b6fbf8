import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError


def random_map(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_config_round_trip():
    again = losses.Hints.from_config(losses.Hints(name="tap").get_config())
    assert again.name == "tap"


@pytest.mark.parametrize(
    "student, teacher, kernel",
    [
        (32, 16, (3, 3)),
        (16, 32, (4, 4)),
        (15, 6, (10, 10)),
        (8, 8, (1, 1)),
        (2, 1, (3, 3)),
    ],
)
def test_regressor_reaches_the_size_of_the_teacher(student, teacher, kernel):
    loss = losses.Hints()
    teacher_map = random_map(2, teacher, teacher, 5)
    student_map = random_map(2, student, student, 3)
    value = loss(teacher_map, student_map)
    assert np.isfinite(float(value))
    assert loss.convolution.kernel_size == kernel
    assert loss.regress(student_map).shape == teacher_map.shape


def test_oblong_maps():
    loss = losses.Hints()
    loss.build((None, 4, 6, 5), (None, 5, 9, 3))
    assert loss.regress(random_map(2, 5, 9, 3)).shape == (2, 4, 6, 5)


def test_stride_2_is_centred_on_every_other_pixel():
    loss = losses.Hints()
    loss.build((None, 2, 2, 1), (None, 4, 4, 1))
    kernel = np.zeros((3, 3, 1, 1), "float32")
    kernel[1, 1] = 1
    loss.convolution.set_weights([kernel, np.zeros(1, "float32")])
    pixels = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    # Inference with fresh statistics only divides by sqrt(1 + 1e-5).
    regressed = loss.regress(pixels, training=False)
    np.testing.assert_allclose(
        np.reshape(regressed, -1), [0, 2, 8, 10], rtol=1e-4
    )


def test_identity_regressor_gives_zero_and_an_offset_its_square():
    student = np.abs(random_map(2, 5, 5, 3))
    loss = losses.Hints()
    loss.build(student.shape, student.shape)
    identity = np.eye(3, dtype="float32").reshape(1, 1, 3, 3)
    loss.convolution.set_weights([identity, np.zeros(3, "float32")])
    loss.normalization.moving_variance.assign(np.full(3, 1 - 1e-5))
    value = loss(student, student, training=False)
    assert float(value) == pytest.approx(0, abs=1e-10)
    value = loss(student + 0.5, student, training=False)
    assert float(value) == pytest.approx(0.25, rel=1e-5)


def test_training_is_the_default_and_moves_the_statistics():
    teacher, student = random_map(8, 4, 4, 5), random_map(8, 4, 4, 3)
    loss = losses.Hints()
    loss(teacher, student, training=False)
    np.testing.assert_array_equal(loss.normalization.moving_mean, 0)
    default = float(loss(teacher, student))
    assert np.abs(loss.normalization.moving_mean).max() > 0
    assert default == float(loss(teacher, student, training=True))
    assert default != float(loss(teacher, student, training=False))


def test_symbolic_call_builds_the_regressor():
    loss = losses.Hints()
    value = loss(keras.Input((6, 6, 8)), keras.Input((15, 15, 4)))
    assert value.shape == ()
    assert len(loss.trainable_variables) == 4
    assert len(loss.variables) == 6


def test_weights_survive_a_file(tmp_path):
    teacher, student = random_map(4, 3, 3, 5), random_map(4, 6, 6, 2)
    inputs = [keras.Input(teacher.shape[1:]), keras.Input(student.shape[1:])]
    model = keras.Model(inputs, losses.Hints(name="hints")(*inputs))
    model.save(tmp_path / "loss.keras")
    again = keras.saving.load_model(tmp_path / "loss.keras")
    expected = model.get_layer("hints")(teacher, student)
    value = again.get_layer("hints")(teacher, student)
    assert float(value) == pytest.approx(float(expected))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    teacher = tf.cast(random_map(4, 4, 4, 5), dtype)
    student = tf.cast(random_map(4, 4, 4, 3), dtype)
    loss = losses.Hints()
    value = loss(teacher, student)
    assert value.dtype == "float32"
    expected = loss(tf.cast(teacher, "float32"), tf.cast(student, "float32"))
    assert float(value) == float(expected)


def test_all_zero_maps_have_finite_gradients():
    student = tf.zeros((4, 4, 4, 3))
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = losses.Hints()(np.zeros((4, 4, 4, 5), "float32"), student)
    assert float(value) == 0
    assert np.isfinite(tape.gradient(value, student)).all()


def test_impossible_sizes_are_named():
    with pytest.raises(UserError, match=r"teacher \(8, 8\), student \(5, 5\)"):
        losses.Hints()(random_map(2, 8, 8, 4), random_map(2, 5, 5, 4))


def test_a_vector_is_refused():
    with pytest.raises(UserError, match=r"student's tap must be a map"):
        losses.Hints()(random_map(2, 8, 8, 4), random_map(2, 16))
