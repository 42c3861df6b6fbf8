"""Frozen modules, from memory or from a file."""

import keras

from indistill_tf.cifd.rdm import RateDistortionModules
from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.finite import check_read
from indistill_tf.hints import Path


def frozen_modules(
    modules: RateDistortionModules | Path | dict | None,
) -> RateDistortionModules | None:
    """Returns modules without noise, or None for none.

    Args:
        modules: `RateDistortionModules`, a `.keras` file of them, what Keras
            serialised them to, or `"none"` or None.

    Raises:
        UserError: if the file holds no modules.
    """
    if modules is None or isinstance(modules, str) and modules == "none":
        return None
    if isinstance(modules, dict):
        modules = keras.saving.deserialize_keras_object(modules)
    if isinstance(modules, RateDistortionModules):
        return modules.frozen()
    try:
        loaded = keras.saving.load_model(modules, compile=False)
    # A damaged file fails in many places, each with its own exception.
    except Exception as error:
        raise UserError(
            f"No modules can be read from {modules} ({first_line(error)}). "
            "Copy the file again, or repeat the `train_rdm` that wrote it."
        ) from error
    check_read(loaded, modules)
    if not isinstance(loaded, RateDistortionModules):
        raise UserError(
            f"{modules} holds a {type(loaded).__name__}, not rate-distortion "
            "modules. Name a file that `RateDistortionModules.save` wrote."
        )
    return loaded.frozen()
