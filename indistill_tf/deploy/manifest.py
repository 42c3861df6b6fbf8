"""What exported files weigh, and by which they are known again."""

import gzip
import pathlib

from indistill_tf import checksums
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
    sums = checksums.of_files(path.parent, [path.name])
    contents = [(path.parent / name).read_bytes() for name in sums]
    return {
        "bytes": sum(map(len, contents)),
        "gzip_bytes": sum(len(gzip.compress(x)) for x in contents),
        "sha256": sums,
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
        found = checksums.of_file(path)
        if found != expected:
            raise UserError(
                f"{path} is damaged: its SHA-256 is {found[:12]}... where "
                f"{expected[:12]}... was written. Export it again."
            )
