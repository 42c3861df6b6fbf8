"""Comparing arrays by name with what a model has; all or nothing."""

import numpy as np

from indistill_tf.errors import UserError

# A file of another network differs in every name; nobody reads them all.
_LISTED = 20


def differences(expected, arrays):
    """Lists how named arrays differ from what is expected.

    Args:
        expected: dict from name to shape.
        arrays: dict from name to array.

    Returns:
        Sorted list of strings, empty if every name is there once, with its
        shape and with numbers in it.
    """
    problems = [f"missing {name}" for name in expected.keys() - arrays.keys()]
    problems += [f"unknown {name}" for name in arrays.keys() - expected.keys()]
    for name in expected.keys() & arrays.keys():
        array, shape = arrays[name], tuple(expected[name])
        if array.shape != shape:
            problems.append(f"{name} is {array.shape}, expected {shape}")
        elif not _is_real(array):
            problems.append(f"{name} is of type {array.dtype}")
    return sorted(problems)


def refuse(source, model, problems, naming=""):
    """Raises the error that lists how a file differs from a model.

    Args:
        source: string, the file.
        model: `keras.Model`.
        problems: list of strings, of which the first 20 are shown.
        naming: string, by which names the two were compared. Defaults to
            none.

    Raises:
        UserError: always.
    """
    shown = "; ".join(problems[:_LISTED])
    if len(problems) > _LISTED:
        shown += f"; and {len(problems) - _LISTED} more"
    raise UserError(
        f"{source} does not fit model {model.name!r}{naming}: {shown}."
    )


def assign(variables, arrays):
    """Gives variables new values, cast to their types.

    All values are converted before the first is assigned.

    Args:
        variables: list of `keras.Variable`.
        arrays: list of arrays of the same shapes.
    """
    values = [
        np.asarray(array).astype(variable.dtype)
        for variable, array in zip(variables, arrays, strict=True)
    ]
    for variable, value in zip(variables, values):
        variable.assign(value)


def _is_real(array):
    # NumPy knows bfloat16 only by the name that its extension gives it.
    return array.dtype.kind in "fiu" or array.dtype.name == "bfloat16"
