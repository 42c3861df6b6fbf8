"""Packages that some formats need, and how to get them."""

import importlib
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
        package = module.partition(".")[0].replace("_", "-")
        raise UserError(
            f"The package {package} is not installed. Install it: "
            "pip install 'indistill_tf[deploy]'."
        ) from error
