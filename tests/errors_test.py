import pytest

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.errors import unknown_name


def test_users_errors_are_value_errors():
    with pytest.raises(ValueError, match="Unknown kind: 'c'.*of: a, b"):
        raise unknown_name("kind", "c", ("a", "b"))
    assert issubclass(UserError, ValueError)


def test_first_line():
    assert first_line(ValueError("\nOne.\nTwo.")) == "One."
    assert first_line(MemoryError()) == "MemoryError()"
    assert first_line(KeyError("name")) == "KeyError('name')"
    of_tensorflow = "{{function_node __wrapped__Open}} f; No space"
    assert first_line(OSError(of_tensorflow)) == "f; No space"
