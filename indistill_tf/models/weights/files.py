"""Files of named arrays: .npz and .safetensors."""

import contextlib
import json
import pathlib
import zipfile

import numpy as np

from indistill_tf.checksums import of_named
from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.files import replacing
from indistill_tf.machine import check_memory

SUFFIXES = (".npz", ".safetensors")
# Where `.safetensors` files written here keep their checksum; `.npz` files
# have one for each array.
_SUM = "indistill_tf_sha256"

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
    except UserError:
        raise
    # A damaged file fails in many places, each with its own exception.
    except Exception as error:
        raise UserError(
            f"{path} is no readable {path.suffix} file ({first_line(error)})."
        ) from error


def check_unpacked(path):
    """Refuses an archive that the memory cannot hold once it is unpacked.

    Args:
        path: `pathlib.Path`. What is no archive is passed over.

    Raises:
        UserError: if it is too large.
    """
    if zipfile.is_zipfile(path):
        with contextlib.suppress(zipfile.BadZipFile):
            with zipfile.ZipFile(path) as file:
                size = sum(member.file_size for member in file.infolist())
            check_memory(size, f"What {path} holds", "Do not trust this file.")


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
    with replacing(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, **arrays)
            return
        safetensors = _import_safetensors(path)
        # Some readers take only files that say whose layout they have.
        metadata = {"format": "pt", _SUM: of_named(arrays)}
        content = safetensors.numpy.save(arrays, metadata=metadata)
        temporary.write_bytes(content)


def _read_npz(path):
    check_unpacked(path)
    with open(path, "rb") as opened, np.load(opened) as file:
        return {name: file[name] for name in file.files}


def _read_safetensors(path):
    # Not `safetensors.numpy.load`: it does not know BF16.
    content = path.read_bytes()
    tensors = _import_safetensors(path).deserialize(content)
    arrays = {name: _array(tensor) for name, tensor in tensors}
    own = of_named(arrays)
    if _metadata(content).get(_SUM, own) != own:
        raise ValueError("its checksum is another: a part of it has changed")
    return arrays


def _metadata(content):
    """Returns what the header says beside the tensors' places."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__", {})


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
