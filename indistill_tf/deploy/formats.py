"""The formats that a student is shipped in."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from collections.abc import Sequence

from indistill_tf.deploy import keras_file
from indistill_tf.deploy import litert
from indistill_tf.deploy import onnx_file
from indistill_tf.deploy import packages
from indistill_tf.deploy import saved_model
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.errors import unknown_name
from indistill_tf.files import replacing
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor


@dataclasses.dataclass(frozen=True)
class Format:
    """A way of writing a student, and what reads it.

    Attributes:
        name: string, as `--formats` takes it.
        path: of the file, or the directory, in the folder of exports.
        runtime: what reads it, see `probe.RUNTIMES`.
        write: function of a `Deployable`, the path, and training images or
            None.
        packages: that it needs beside this one's, as they are imported.
    """

    name: str
    path: str
    runtime: str
    write: Callable[[Deployable, pathlib.Path, Tensor | None], None]
    packages: tuple[str, ...] = ()


def _write_saved_model(deployable, path, images):
    saved_model.write(deployable, path)


def _write_keras(deployable, path, images):
    with replacing(path) as temporary:
        keras_file.write(deployable, temporary)


def _write_onnx(deployable, path, images):
    _write_bytes(path, onnx_file.convert(deployable))


def _write_litert(kind, deployable, path, images):
    _write_bytes(path, litert.convert(deployable, kind, images))


def _write_bytes(path, content):
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _litert(name, kind, *packages):
    return Format(
        name,
        f"student_{kind}.tflite",
        "litert",
        functools.partial(_write_litert, kind),
        ("ai_edge_litert", *packages),
    )


FORMATS = {
    each.name: each
    for each in (
        Format("saved_model", "saved_model", "tensorflow", _write_saved_model),
        _litert("litert", "float32"),
        _litert("litert_fp16", "fp16"),
        _litert("litert_dynamic", "dynamic"),
        _litert("litert_int8", "int8"),
        _litert("litert_int4", "int4", "litert_quantizer"),
        Format(
            "onnx",
            "student.onnx",
            "onnxruntime",
            _write_onnx,
            ("tf2onnx", "onnxruntime"),
        ),
        Format("keras", "student_pixels.keras", "keras", _write_keras),
    )
}


def get(names: Sequence[str]) -> list[Format]:
    """Returns formats by their names.

    Args:
        names: strings, keys of `FORMATS`.

    Raises:
        UserError: if one is unknown, or a package that it needs is missing.
    """
    for name in names:
        if name not in FORMATS:
            raise unknown_name("format", name, FORMATS)
        for package in FORMATS[name].packages:
            packages.check(package)
    return [FORMATS[name] for name in names]


def write(
    deployable: Deployable,
    name: str,
    path: Path,
    images: Tensor | None = None,
) -> pathlib.Path:
    """Writes a student in a format.

    Args:
        deployable: `Deployable`.
        name: a key of `FORMATS`.
        path: the file, or the SavedModel's directory; one that exists is
            replaced.
        images: training images for `"litert_int8"`, see `litert.convert`.
            Defaults to None.

    Returns:
        The path.

    Raises:
        UserError: if the format is unknown, a package is missing, the network
            cannot be written so, or the path cannot be written.
    """
    (wanted,) = get([name])
    path = pathlib.Path(path)
    try:
        wanted.write(deployable, path, images)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({first_line(error)}). Name another "
            "folder."
        ) from error
    return path
