"""Reading trained networks from files; nothing is ever half loaded."""

import pathlib
import zipfile

import keras
import numpy as np

from indistill_tf.errors import UserError


def load_model(path):
    """Loads a whole model from a `.keras` file.

    Args:
        path: path of the file.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        UserError: if the file is missing, damaged or holds no model.
    """
    path = _existing(path)
    if path.suffix != ".keras":
        raise UserError(
            f"A trained model is a .keras file. Received: {path}. Weights "
            "(.weights.h5, .npz) need the network's name as well."
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise UserError(
            f"{path} is no readable .keras file ({_first_line(error)}). Copy "
            "it again, or repeat the run that wrote it."
        ) from error


def load_weights(model, path):
    """Loads weights into a model.

    Args:
        model: built `keras.Model`.
        path: a `.weights.h5` file, or an `.npz` file with an array
            `<layer>.<variable>` for every variable, such as `conv1.kernel`.
            The names `fc1` and `fc2` of the dense layers, kernels
            `[inputs, outputs]` after a channels-last flatten.

    Raises:
        UserError: if the file is missing or damaged, or does not fit the
            model; the message lists what differs and the model is unchanged.
    """
    path = _existing(path)
    if path.suffix == ".npz":
        _load_npz(model, path)
        return
    if not path.name.endswith(".weights.h5"):
        raise UserError(
            f"Weights are a .weights.h5 or .npz file. Received: {path}"
        )
    before = model.get_weights()
    try:
        model.load_weights(path)
    except Exception as error:
        model.set_weights(before)
        raise UserError(
            f"{path} does not hold the weights of model {model.name!r} "
            f"({_first_line(error)})."
        ) from error


def _load_npz(model, path):
    try:
        with open(path, "rb") as opened, np.load(opened) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is no readable .npz file ({_first_line(error)})."
        ) from error
    variables = {
        f"{layer.name}.{variable.name}": variable
        for layer in model.layers
        for variable in layer.variables
    }
    # Names without a dot are notes that came with the weights.
    stored = {name for name in arrays if "." in name}
    problems = [f"missing {name}" for name in variables.keys() - stored]
    problems += [f"unknown {name}" for name in stored - variables.keys()]
    problems += [
        f"{name} is {arrays[name].shape}, expected {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in stored and arrays[name].shape != tuple(variable.shape)
    ]
    if problems:
        raise UserError(
            f"{path} does not fit model {model.name!r}: "
            f"{'; '.join(sorted(problems))}."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _existing(path):
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    return path


def _first_line(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else repr(error)
