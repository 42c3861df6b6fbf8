"""Packages that some formats need, and how to get them."""

import importlib
import importlib.util
import types

from indistill_tf.errors import UserError


def imported(module: str) -> types.ModuleType:
    """Returns a module of the extra `deploy`.

    Args:
        module: its full name, such as `"ai_edge_litert.interpreter"`.

    Raises:
        UserError: if its package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module.partition(".")[0]) from error


def check(package: str) -> None:
    """Checks that a package is installed, without importing it.

    Args:
        package: as it is imported, such as `"ai_edge_litert"`.

    Raises:
        UserError: if not.
    """
    if importlib.util.find_spec(package) is None:
        raise _missing(package)


def _missing(package):
    return UserError(
        f"The package {package.replace('_', '-')} is not installed. Install "
        "it: pip install 'indistill_tf[deploy]'."
    )
