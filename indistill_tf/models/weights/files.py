"""Files of named arrays: .npz and .safetensors."""

import contextlib
import pathlib

import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.files import replacing

SUFFIXES = (".npz", ".safetensors")

_SAFETENSORS = {
    "BF16": "bfloat16",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "BOOL": "?",
}


def existing(path):
    """Returns the path of a file that exists.

    Args:
        path: path of the file.

    Returns:
        `pathlib.Path`.

    Raises:
        UserError: if there is no such file.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    return path


def read_arrays(path):
    """Reads all arrays of a file into memory.

    Args:
        path: path of an `.npz` or `.safetensors` file.

    Returns:
        Dict from name to array; BF16 is the bfloat16 of `ml_dtypes`.

    Raises:
        UserError: if the file is damaged or the package it needs is missing.
    """
    path = pathlib.Path(path)
    if path.suffix == ".safetensors":
        _import_safetensors(path)
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[path.suffix]
    try:
        return read(path)
    # A damaged file fails in many places, each with its own exception.
    except Exception as error:
        raise UserError(
            f"{path} is no readable {path.suffix} file ({first_line(error)})."
        ) from error


def write_arrays(path, arrays):
    """Writes arrays into a file that is whole or not there.

    Args:
        path: path of an `.npz` or `.safetensors` file.
        arrays: dict from name to contiguous array.

    Raises:
        UserError: if the file cannot be written or the package it needs is
            missing.
    """
    path = pathlib.Path(path)
    with _writable(path), replacing(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, **arrays)
            return
        safetensors = _import_safetensors(path)
        # Some readers take only files that say whose layout they have.
        content = safetensors.numpy.save(arrays, metadata={"format": "pt"})
        temporary.write_bytes(content)


def _read_npz(path):
    with open(path, "rb") as opened, np.load(opened) as file:
        return {name: file[name] for name in file.files}


def _read_safetensors(path):
    # Not `safetensors.numpy.load`: it does not know BF16.
    tensors = _import_safetensors(path).deserialize(path.read_bytes())
    return {name: _array(tensor) for name, tensor in tensors}


def _array(tensor):
    if tensor["dtype"] not in _SAFETENSORS:
        raise ValueError(f"type {tensor['dtype']} is unknown here")
    # NumPy knows the name bfloat16 from ml_dtypes, which Keras imports.
    dtype = np.dtype(_SAFETENSORS[tensor["dtype"]])
    return np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])


def _import_safetensors(path):
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UserError(
            f"{path} needs the package safetensors. Install it: pip install "
            '"indistill_tf[weights]".'
        ) from error
    return safetensors


@contextlib.contextmanager
def _writable(path):
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}). Name another file."
        ) from error
