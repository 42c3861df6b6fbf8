import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError


def random_array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def random_loss(width=6, classes=4, **options):
    return losses.SoftmaxRegression(
        random_array(width, classes, seed=1),
        random_array(classes, seed=2),
        **options,
    )


def test_config_round_trip():
    loss = random_loss(head_weight=2.5, name="tap")
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.head_weight, again.name) == (2.5, "tap")
    np.testing.assert_array_equal(
        again.head_kernel.astype("float32"), loss.head_kernel
    )
    np.testing.assert_array_equal(
        again.head_bias.astype("float32"), loss.head_bias
    )


def test_hand_computed_values_of_both_parts():
    teacher = np.array([[1, 2]], "float32")
    connected = np.ones((1, 2), "float32")
    loss = losses.SoftmaxRegression(np.eye(2))
    loss.build(teacher.shape, connected.shape)
    value = losses.pooled_feature_mse(teacher, connected)
    assert float(value) == pytest.approx(0.5)
    value = losses.head_mse(loss.head(teacher), loss.head(connected))
    assert float(value) == pytest.approx(0.5)


def test_identity_connector_adds_both_parts():
    student = np.abs(random_array(3, 2))
    loss = losses.SoftmaxRegression(np.eye(2), head_weight=3.0)
    loss.build(student.shape, student.shape)
    loss.projection.kernel.assign(np.eye(2))
    loss.normalization.moving_variance.assign(np.full(2, 1 - 1e-5))
    value = loss(student + 0.5, student, training=False)
    assert float(value) == pytest.approx(0.25 + 3 * 0.25, rel=1e-5)


def test_the_null_space_of_the_head_is_seen_by_the_features_alone():
    teacher, connected = random_array(2, 5, 3)
    loss = losses.SoftmaxRegression(np.array([[1.0, 2], [1, 2], [0, 1]]))
    loss.build(teacher.shape, teacher.shape)
    moved = teacher + np.array([1, -1, 0], "float32")
    before, after = (
        losses.head_mse(loss.head(part), loss.head(connected))
        for part in (teacher, moved)
    )
    assert float(after) == pytest.approx(float(before), rel=1e-4)
    before, after = (
        losses.pooled_feature_mse(part, connected) for part in (teacher, moved)
    )
    assert abs(float(after) - float(before)) > 0.1


def test_order_of_the_students_pixels_changes_nothing():
    teacher, student = random_array(4, 3, 3, 6), random_array(4, 5, 5, 2)
    loss = random_loss()
    order = np.random.default_rng(1).permutation(25)
    shuffled = student.reshape(4, 25, 2)[:, order].reshape(student.shape)
    value = float(loss(teacher, shuffled))
    assert value == pytest.approx(float(loss(teacher, student)), rel=1e-4)


@pytest.mark.parametrize(
    "teacher, student",
    [((8, 3, 3, 6), (8, 5, 5, 2)), ((8, 6), (8, 4)), ((8, 6), (8, 5, 5, 2))],
)
def test_gradients_pass_through_a_head_that_owns_no_variable(teacher, student):
    loss = random_loss()
    student = tf.constant(random_array(*student))
    target = random_array(*teacher, seed=3)
    loss.build(target.shape, student.shape)
    with tf.GradientTape() as tape:
        tape.watch(student)
        connected = loss.connect(student)
        pooled = tf.reduce_mean(
            connected, axis=list(range(1, len(connected.shape) - 1))
        )
        value = losses.head_mse(random_array(8, 4), loss.head(pooled))
    assert np.abs(tape.gradient(value, student)).max() > 0
    assert np.isfinite(float(loss(target, student)))
    # The connector's kernel, gamma and beta; nothing of the head.
    shapes = [tuple(item.shape) for item in loss.trainable_variables]
    width = student.shape[-1]
    kernel = (width, 6) if len(student.shape) == 2 else (1, 1, width, 6)
    assert shapes == [kernel, (6,), (6,)]


def test_the_head_stays_frozen_when_the_loss_is_made_trainable():
    loss = random_loss()
    loss(random_array(4, 6), random_array(4, 2))
    loss.trainable = True
    assert len(loss.trainable_variables) == 3
    np.testing.assert_allclose(
        loss.head(np.eye(6, dtype="float32")), loss.kernel + loss.bias
    )


def test_symbolic_call_builds_the_connector():
    loss = random_loss()
    value = loss(keras.Input((3, 3, 6)), keras.Input((5, 5, 2)))
    assert value.shape == ()
    assert len(loss.trainable_variables) == 3


def test_connector_starts_with_the_papers_spread():
    loss = losses.SoftmaxRegression(np.ones((200, 3)))
    loss.build((None, 200), (None, 100))
    spread = float(np.std(loss.projection.kernel))
    assert spread == pytest.approx(0.1, rel=0.05)


def test_training_is_the_default_and_moves_the_statistics():
    loss = random_loss()
    teacher, student = random_array(8, 6), random_array(8, 2)
    loss(teacher, student, training=False)
    np.testing.assert_array_equal(loss.normalization.moving_mean, 0)
    loss(teacher, student)
    assert np.abs(loss.normalization.moving_mean).max() > 0


def test_half_precision_is_computed_in_float32():
    teacher = random_array(8, 3, 3, 6).astype("float16")
    student = random_array(8, 3, 3, 2).astype("float16")
    loss = random_loss()
    value = loss(teacher, student)
    assert value.dtype == "float32"
    expected = loss(teacher.astype("float32"), student.astype("float32"))
    assert float(value) == float(expected)
    assert losses.pooled_feature_mse(teacher, teacher).dtype == "float32"
    assert losses.head_mse(teacher, teacher).dtype == "float32"


def test_all_zero_features_have_finite_gradients():
    student = tf.zeros((4, 2))
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = random_loss()(np.zeros((4, 6), "float32"), student)
    assert np.isfinite(tape.gradient(value, student)).all()


def test_a_head_of_the_wrong_shape():
    with pytest.raises(UserError, match=r"shapes \(3, 2\) and \(5,\)"):
        losses.SoftmaxRegression(np.ones((3, 2)), np.ones(5))


def test_a_feature_the_head_cannot_read():
    with pytest.raises(UserError, match="reads 6 channels"):
        random_loss()(random_array(4, 5), random_array(4, 2))
