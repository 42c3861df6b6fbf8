"""Trained networks from files, and weights back into them.

Nothing is ever half loaded: a file fits a model in all its variables, or the
model stays as it is and the error lists what differs.
"""

import pathlib

import keras

from indistill_tf import checksums
from indistill_tf.errors import UserError
from indistill_tf.finite import check_read
from indistill_tf.hints import Path
from indistill_tf.models.weights import files
from indistill_tf.models.weights import fitting
from indistill_tf.models.weights import keras_files
from indistill_tf.models.weights.h5 import load_h5
from indistill_tf.models.weights.state_dict import from_state_dict
from indistill_tf.models.weights.state_dict import is_state_dict
from indistill_tf.models.weights.state_dict import to_state_dict
from indistill_tf.models.weights.variable_names import same_layers
from indistill_tf.models.weights.variable_names import variables_by_name

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".tar")


def load_model(path: Path) -> keras.Model:
    """Loads a whole model from a `.keras` file.

    Args:
        path: path of the file.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        UserError: if the file is missing, damaged, has another checksum than
            the `SHA256SUMS` beside it says, holds weights that are not finite
            or beyond a million, no model, or one that Keras does not build
            here: of a class that is not registered, of Python code (a
            `Lambda` layer) or of another version of Keras. The message says
            which.
    """
    path = pathlib.Path(path)
    keras_files.check_folder(path)
    path = files.existing(path)
    if path.suffix != ".keras":
        raise keras_files.unknown_ending(path)
    checksums.check_file(path)
    files.check_unpacked(path)
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise keras_files.refusal(path, error) from error
    check_read(model, path)
    return model


def load_weights(model: keras.Model, path: Path) -> None:
    """Loads weights into a model.

    Args:
        model: built `keras.Model`.
        path: one of
            - a `.keras` file of a model with the same variables by name, or
              with the same layers connected alike;
            - a `.weights.h5` file of a model with the same layers;
            - an `.npz` or `.safetensors` file with an array
              `<layer>.<variable>` for every variable, such as `conv1.kernel`,
              in Keras' layouts;
            - an `.npz` or `.safetensors` file of a PyTorch `state_dict`, such
              as `conv1.weight`, in PyTorch's layouts, see
              `indistill_tf.models.from_state_dict`.

    Raises:
        UserError: if the file is missing or damaged, see `load_model`, or
            does not fit the model; the message lists what differs and the
            model is unchanged.

    References:
        - [safetensors](https://huggingface.co/docs/safetensors)
    """
    path = files.existing(path)
    checksums.check_file(path)
    before = model.get_weights()
    _load(model, path)
    try:
        check_read(model, path)
    except UserError:
        model.set_weights(before)
        raise


def save_weights(
    model: keras.Model, path: Path, family: str | None = None
) -> None:
    """Saves a model's weights as a PyTorch `state_dict`.

    Args:
        model: built `keras.Model`.
        path: an `.npz` or `.safetensors` file to write; an older one is
            replaced once the new one is whole.
        family: string, whose names to use, see
            `indistill_tf.models.to_state_dict`. Defaults to the usual one of
            the network.

    Raises:
        UserError: if the file has another ending or cannot be written, or the
            model has a layer that PyTorch does not know.

    Example:

    ```python
    indistill_tf.models.save_weights(student, "student.safetensors")
    # In PyTorch:
    network.load_state_dict(safetensors.torch.load_file("student.safetensors"))
    ```
    """
    if not str(path).endswith(files.SUFFIXES):
        raise UserError(
            f"A state_dict is a .npz or .safetensors file. Received: {path}. "
            "Keras' own formats are written by model.save and "
            "model.save_weights."
        )
    files.write_arrays(path, to_state_dict(model, family))


def _load(model, path):
    if path.suffix in files.SUFFIXES:
        _load_arrays(model, path)
    elif path.suffix == ".keras":
        _load_keras(model, path)
    elif path.name.endswith(".weights.h5"):
        load_h5(model, path)
    else:
        raise UserError(_unknown_suffix(path))


def _load_arrays(model, path):
    arrays = files.read_arrays(path)
    if is_state_dict(arrays):
        from_state_dict(model, arrays, source=str(path))
        return
    # Names without a dot are notes that came with the weights.
    arrays = {name: arrays[name] for name in arrays if "." in name}
    _load_named(model, path, arrays)


def _load_keras(model, path):
    stored_model = load_model(path)
    own, stored = variables_by_name(model), variables_by_name(stored_model)
    arrays = {name: variable.numpy() for name, variable in stored.items()}
    if own.keys() != stored.keys() and same_layers(model, stored_model):
        # The same network under other names: its variables by their order.
        arrays = dict(zip(own, arrays.values(), strict=True))
    _load_named(model, path, arrays)


def _load_named(model, path, arrays):
    variables = variables_by_name(model)
    shapes = {name: variable.shape for name, variable in variables.items()}
    problems = fitting.differences(shapes, arrays)
    if problems:
        fitting.refuse(path, model, problems)
    values = [arrays[name] for name in variables]
    fitting.assign(list(variables.values()), values)


def _unknown_suffix(path):
    message = (
        "Weights are a .keras, .weights.h5, .npz or .safetensors file. "
        f"Received: {path}"
    )
    if path.suffix in _PICKLES:
        message += (
            ". Convert it in PyTorch: safetensors.torch.save_file(state_dict, "
            '"weights.safetensors")'
        )
    return message
