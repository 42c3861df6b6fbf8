import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture(scope="session")
def value_and_gradient():
    """Calls a loss; returns its value and gradient for the student."""

    def measure(loss, teacher, student):
        student = tf.constant(student)
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = loss(tf.constant(teacher), student)
        return float(value), tape.gradient(value, student).numpy()

    return measure


@pytest.fixture(scope="session")
def relative_error():
    """The largest difference over the largest expected entry."""

    def measure(found, expected):
        found, expected = np.asarray(found), np.asarray(expected)
        return np.abs(found - expected).max() / np.abs(expected).max()

    return measure
