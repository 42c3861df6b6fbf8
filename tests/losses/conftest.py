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


KINDS = ("value", "arrays")
_ERRORS = {}


@pytest.fixture
def relative_error(request):
    """The largest difference over the largest expected entry.

    What it finds is kept for the table below.
    """

    def measure(values, expected):
        values, expected = np.asarray(values), np.asarray(expected)
        error = np.abs(values - expected).max() / np.abs(expected).max()
        kind = "arrays" if values.ndim else "value"
        errors = _ERRORS.setdefault(request.node.name, {})
        # Not `max`, for which no number is less than NaN.
        errors[kind] = np.maximum(errors.get(kind, 0.0), float(error))
        return error

    return measure


def pytest_terminal_summary(terminalreporter, config):
    """With -v, lists how far each case is from its reference."""
    if config.get_verbosity() < 1 or not _ERRORS:
        return
    terminalreporter.section("relative errors: value, gradients and arrays")
    for name, errors in _ERRORS.items():
        cells = [f"{errors[k]:8.1e}" if k in errors else " " * 8 for k in KINDS]
        terminalreporter.write_line(f"{' '.join(cells)}  {name}")
