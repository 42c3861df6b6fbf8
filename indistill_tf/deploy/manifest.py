"""What exported files weigh, and by which they are known again."""

import gzip
import hashlib
import pathlib

from indistill_tf.errors import UserError
from indistill_tf.hints import Path


def described(path: Path) -> dict:
    """Returns what there is to record of an export, JSON-ready.

    Args:
        path: a file, or a directory of files.

    Returns:
        Dict of `bytes`, `gzip_bytes` (each file compressed alone) and
        `sha256`, a dict from each file's path beside `path` to its checksum.
    """
    path = pathlib.Path(path)
    contents = {file: file.read_bytes() for file in _files(path)}
    return {
        "bytes": sum(map(len, contents.values())),
        "gzip_bytes": sum(len(gzip.compress(x)) for x in contents.values()),
        "sha256": {
            file.relative_to(path.parent).as_posix(): _sha256(content)
            for file, content in contents.items()
        },
    }


def check(folder: Path, sha256: dict[str, str]) -> None:
    """Checks that files are those that were written.

    Args:
        folder: that their paths begin in.
        sha256: dict from path to checksum, see `described`.

    Raises:
        UserError: if one is missing or was changed.
    """
    for name, expected in sha256.items():
        path = pathlib.Path(folder) / name
        if not path.is_file():
            raise UserError(f"{path} is missing. Export it again.")
        found = _sha256(path.read_bytes())
        if found != expected:
            raise UserError(
                f"{path} is damaged: its SHA-256 is {found[:12]}... where "
                f"{expected[:12]}... was written. Export it again."
            )


def _files(path):
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _sha256(content):
    return hashlib.sha256(content).hexdigest()
