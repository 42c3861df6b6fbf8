import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError


def random_pair(seed, first=(4, 4, 3), second=(2, 2, 5), samples=2):
    rng = np.random.default_rng(seed)
    return tuple(
        rng.normal(size=(samples, *shape)).astype("float32")
        for shape in (first, second)
    )


def test_config_round_trip():
    loss = losses.FlowOfSolution(frobenius=True, adapters=True, name="tap")
    again = losses.FlowOfSolution.from_config(loss.get_config())
    assert (again.frobenius, again.adapters, again.name) == (True, True, "tap")


@pytest.mark.parametrize("frobenius", [True, False])
def test_layer_equals_function_and_owns_nothing(frobenius):
    teacher, student = random_pair(0), random_pair(1)
    loss = losses.FlowOfSolution(frobenius=frobenius)
    expected = losses.flow_of_solution(teacher, student, frobenius=frobenius)
    assert float(loss(teacher, student)) == pytest.approx(float(expected))
    assert not loss.variables


def test_hand_computed_values():
    first = np.array([1, 2], "float32").reshape(1, 1, 2, 1)
    second = np.eye(2, dtype="float32").reshape(1, 1, 2, 2)
    zero = (np.zeros_like(first), np.zeros_like(second))
    np.testing.assert_allclose(
        losses.flow_matrix(first, second), [[[0.5, 1.0]]], rtol=1e-6
    )
    value = losses.flow_of_solution((first, second), zero)
    assert float(value) == pytest.approx(0.625)
    value = losses.flow_of_solution((first, second), zero, frobenius=True)
    assert float(value) == pytest.approx(1.25)


def test_order_of_the_pixels_changes_nothing():
    first, second = random_pair(0, second=(4, 4, 5))
    order = np.random.default_rng(1).permutation(16)
    shuffled = [
        maps.reshape(2, 16, -1)[:, order].reshape(maps.shape)
        for maps in (first, second)
    ]
    np.testing.assert_allclose(
        losses.flow_matrix(*shuffled),
        losses.flow_matrix(first, second),
        atol=1e-6,
    )


def test_order_of_the_channels_shared_by_both_networks_changes_nothing():
    teacher, student = random_pair(0), random_pair(1)
    reversed_pairs = [
        (pair[0][..., ::-1], pair[1][..., ::-1]) for pair in (teacher, student)
    ]
    np.testing.assert_allclose(
        losses.flow_matrix(*reversed_pairs[0]),
        np.asarray(losses.flow_matrix(*teacher))[:, ::-1, ::-1],
        atol=1e-6,
    )
    value = losses.flow_of_solution(*reversed_pairs)
    expected = losses.flow_of_solution(teacher, student)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_the_matrix_grows_with_the_square_of_the_activations():
    first, second = random_pair(0)
    np.testing.assert_allclose(
        losses.flow_matrix(3 * first, 3 * second),
        9 * np.asarray(losses.flow_matrix(first, second)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_equal_pairs_give_zero_value_and_gradient():
    teacher = random_pair(0)
    student = [tf.constant(maps) for maps in teacher]
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = losses.flow_of_solution(teacher, student)
    assert float(value) == 0
    for gradient in tape.gradient(value, student):
        np.testing.assert_array_equal(gradient, 0)


def test_half_precision_does_not_overflow():
    teacher = tuple(300 * maps.astype("float16") for maps in random_pair(0))
    student = tuple(maps.astype("float16") for maps in random_pair(1))
    value = losses.flow_of_solution(teacher, student)
    assert value.dtype == "float32"
    assert np.isfinite(float(value))


def test_different_widths_need_adapters():
    teacher = random_pair(0)
    student = random_pair(1, first=(4, 4, 2), second=(2, 2, 4))
    message = r"teacher \(3, 5\), student \(2, 4\).*adapters=True"
    with pytest.raises(UserError, match=message):
        losses.flow_of_solution(teacher, student)
    with pytest.raises(UserError, match=message):
        losses.FlowOfSolution()(teacher, student)


def test_adapters_train_only_where_widths_differ():
    teacher = random_pair(0)
    student = random_pair(1, first=(4, 4, 2))
    loss = losses.FlowOfSolution(adapters=True)
    with tf.GradientTape() as tape:
        value = loss(teacher, student)
    (kernel,) = loss.trainable_variables
    assert kernel.shape == (1, 1, 2, 3)
    assert np.abs(tape.gradient(value, kernel.value)).max() > 0


def test_symbolic_call_builds_the_adapters():
    loss = losses.FlowOfSolution(adapters=True)
    value = loss(
        (keras.Input((15, 15, 16)), keras.Input((6, 6, 32))),
        (keras.Input((15, 15, 8)), keras.Input((6, 6, 16))),
    )
    assert value.shape == ()
    assert len(loss.trainable_variables) == 2


def test_a_vector_is_refused():
    teacher = random_pair(0)
    with pytest.raises(UserError, match="student's tap must be a map"):
        losses.FlowOfSolution()(teacher, (teacher[0], teacher[1][:, 0, 0]))
