"""What a finished run promises: files, known by checksums in its record."""

import hashlib
import json
import pathlib
from collections.abc import Iterable

from indistill_tf import checksums
from indistill_tf.errors import UserError
from indistill_tf.hints import Path
from indistill_tf.training import work_directory

RECORD = "result.json"

_FILES, _OWN = "files", "record_sha256"


def write(path: Path, result: dict, names: Iterable[str]) -> dict:
    """Writes a record with the checksums of files, and of itself.

    Args:
        path: the record's, beside the files.
        result: dict, JSON-ready. Files that it lists already stay listed.
        names: of files, and of folders for all that is in them. What is not
            there is passed over.

    Returns:
        The record as it will be read back.
    """
    folder = pathlib.Path(path).parent
    names = list(names)
    files = {
        name: value
        for name, value in result.get(_FILES, {}).items()
        if not any(_is_of(name, owner) for owner in names)
    }
    files |= checksums.of_files(folder, names)
    result = {**result, _FILES: files}
    return work_directory.write_json(path, {**result, _OWN: _own(result)})


def read(path: Path) -> dict:
    """Reads a record.

    Args:
        path: the record's.

    Raises:
        UserError: if it is missing, or is not what was written.
    """
    result = work_directory.read_json(path)
    # Records of earlier versions have no checksums.
    if not {_FILES, _OWN} & set(result) or result.get(_OWN) == _own(result):
        return result
    raise UserError(
        f"{path} is damaged: its checksum is another. Put back a copy, or "
        "remove it to train that network again."
    )


def is_finished(folder: Path, last: str) -> bool:
    """Returns whether a run is finished, and all is as its record promises.

    Args:
        folder: where it lies.
        last: what the run makes last.
    """
    folder = pathlib.Path(folder)
    if not (folder / last).exists():
        return False
    try:
        result = read(folder / RECORD)
    except UserError:
        return False
    return not damaged(folder, result, result.get(_FILES, {}))


def is_kept(folder: Path, result: dict, name: str) -> bool:
    """Returns whether a file, or a folder, is as it was when it was listed.

    Args:
        folder: where it lies.
        result: dict, the record. One that lists nothing, of an earlier
            version, tells of nothing but whether something is there.
        name: the file's.
    """
    if _FILES not in result:
        return (pathlib.Path(folder) / name).exists()
    return bool(listed(result, name)) and not damaged(folder, result, [name])


def listed(result: dict, name: str) -> dict[str, str]:
    """Returns the checksums that a record has of a file or a folder.

    Args:
        result: dict, the record.
        name: the file's.
    """
    return {
        known: value
        for known, value in result.get(_FILES, {}).items()
        if _is_of(known, name)
    }


def damaged(folder: Path, result: dict, names: Iterable[str]) -> list[str]:
    """Returns which of a record's files are gone or no longer what they were.

    Args:
        folder: where they lie.
        result: dict, the record.
        names: of the files and folders to look at.
    """
    promised = {}
    for name in names:
        promised |= listed(result, name)
    there = checksums.of_files(folder, promised)
    return [name for name in promised if there.get(name) != promised[name]]


def check(
    folder: Path, record: str, result: dict, names: Iterable[str]
) -> None:
    """Checks files that cannot be made again.

    Args:
        folder: where they lie.
        record: name of the record's file.
        result: dict, the record.
        names: of the files.

    Raises:
        UserError: if one is damaged.
    """
    lost = damaged(folder, result, names)
    if lost:
        raise UserError(
            f"{', '.join(lost)} in {folder} cannot be made again, and is gone "
            f"or no longer what {record} promises. Put back a copy, or remove "
            f"{pathlib.Path(folder) / record} to train that network again."
        )


def _is_of(name, owner):
    return name == owner or name.startswith(f"{owner}/")


def _own(result):
    rest = {name: value for name, value in result.items() if name != _OWN}
    text = json.dumps(rest, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
