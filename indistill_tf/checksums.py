"""Checksums by which results are known again."""

import contextlib
import hashlib
import pathlib
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping

import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.files import replacing
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor

# A folder's sums, as `sha256sum` writes and checks them.
SUMS = "SHA256SUMS"


def checksum(arrays: Iterable[Tensor], shaped: bool = False) -> str:
    """Returns the SHA-256 of the bytes of arrays.

    Args:
        arrays: arrays or variables.
        shaped: bool, whether their shapes and dtypes count too. Defaults to
            False.
    """
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        if shaped:
            digest.update(repr((array.shape, str(array.dtype))).encode())
        # As bytes: bfloat16 has no buffer of its own.
        digest.update(array.view("uint8"))
    return digest.hexdigest()


def of_named(arrays: Mapping[str, Tensor]) -> str:
    """Returns the SHA-256 of named arrays, whatever their order.

    Args:
        arrays: dict from name to array; names, shapes and dtypes count.
    """
    names = sorted(arrays)
    values = checksum((arrays[name] for name in names), shaped=True)
    return hashlib.sha256("\n".join([*names, values]).encode()).hexdigest()


def of_file(path: Path) -> str:
    """Returns the SHA-256 of a file.

    Args:
        path: of the file.

    Raises:
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Returns the SHA-256 of files, those within folders among them.

    Args:
        folder: where they lie.
        names: of files and folders in it. What is not there is passed over.

    Returns:
        Dict from the path within the folder to the checksum.
    """
    folder = pathlib.Path(folder)
    sums = {}
    for name in names:
        inside = sorted((folder / name).rglob("*"))
        for path in [folder / name, *inside]:
            if path.is_file():
                sums[path.relative_to(folder).as_posix()] = of_file(path)
    return sums


def write_sums(folder: Path) -> None:
    """Writes the checksums of a folder's files beside them, `SHA256SUMS`.

    Args:
        folder: the folder.
    """
    folder = pathlib.Path(folder)
    (folder / SUMS).write_text(_as_text(_own(folder)))


def is_whole(folder: Path) -> bool:
    """Returns whether a folder holds what `write_sums` saw, to the bit.

    Args:
        folder: the folder.
    """
    folder = pathlib.Path(folder)
    try:
        return (folder / SUMS).read_text() == _as_text(_own(folder))
    except (OSError, UnicodeDecodeError):
        return False


@contextlib.contextmanager
def writing_sum(path: Path) -> Iterator[None]:
    """Keeps a file's checksum in `SHA256SUMS` beside it, where others may be.

    Meanwhile there is none: what is killed then leaves a file unchecked, and
    not one that is taken for damaged.

    Args:
        path: of the file, which is written within the context.
    """
    path = pathlib.Path(path)

    def write(lines):
        with replacing(path.parent / SUMS) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines))

    lines = _lines(path.parent)
    others = [line for line in lines if line[66:] != path.name]
    if others != lines:
        write(others)
    yield
    write([*others, f"{of_file(path)}  {path.name}"])


def check_file(path: Path) -> None:
    """Checks a file where a `SHA256SUMS` beside it names it.

    Args:
        path: of the file.

    Raises:
        UserError: if it is another file.
    """
    path = pathlib.Path(path)
    sums = [x[:64] for x in _lines(path.parent) if x[66:] == path.name]
    if sums and sums[-1] != of_file(path):
        raise UserError(
            f"{path} is not what it was: {SUMS} beside it has another "
            "checksum. Copy it again, or make it again."
        )


def _lines(folder):
    """Returns the lines of a folder's `SHA256SUMS`, if there is one."""
    try:
        return (folder / SUMS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _own(folder):
    return of_files(folder, sorted(set(_names(folder)) - {SUMS}))


def _names(folder):
    return (path.name for path in folder.iterdir())


def _as_text(sums):
    return "".join(f"{sum}  {name}\n" for name, sum in sums.items())
