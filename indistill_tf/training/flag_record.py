"""`flags.txt`: what a run was asked for, and whether it is asked the same."""

import difflib
import json
import os
import pathlib
import re

from indistill_tf import checksums
from indistill_tf.files import replacing
from indistill_tf.hints import Path

NAME = "flags.txt"
# Where a run lies is no part of what it is.
_PLACE = "--work_dir="
# A comment to who reads the file as flags: where its paths led, and to what.
_NOTE = "# paths: "


def write(folder: Path, flags_text: str) -> None:
    """Writes `flags.txt`, with a note of the files that the flags name.

    Args:
        folder: the work directory.
        flags_text: string, a flag a line.
    """
    note = _NOTE + json.dumps(_paths(flags_text.splitlines())) + "\n"
    with replacing(pathlib.Path(folder) / NAME) as temporary:
        temporary.write_text(flags_text + note)


def read(folder: Path) -> str:
    """Returns a run's flags, one a line, without the note.

    Args:
        folder: the work directory. One without `flags.txt` gives `""`.
    """
    path = pathlib.Path(folder) / NAME
    if not path.exists():
        return ""
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_NOTE))


def changes(path: Path, flags_text: str, default_flags: str = "") -> list[str]:
    """Returns in what flags differ from those of a run that was begun before.

    Two paths are the same if they lead to one place, or to files with one
    content.

    Args:
        path: its `flags.txt`.
        flags_text: string, a flag a line.
        default_flags: string, those lines of `flags_text` whose flags have
            their default values. The run may lack these: a version that did
            not have them yet began it. Defaults to `""`: none.

    Returns:
        List of lines, with `- ` before those of the file and `+ ` before new
        ones; empty if they are the same run's.
    """
    # What is damaged differs.
    lines = pathlib.Path(path).read_text(errors="replace").splitlines()
    before = [line for line in lines if _counts(line)]
    known = set(map(name_of, before))
    defaults = default_flags.splitlines()
    now = [
        line
        for line in flags_text.splitlines()
        if _counts(line) and (name_of(line) in known or line not in defaults)
    ]
    before = _told_alike(before, now, _noted(lines, before))
    return [line for line in difflib.ndiff(before, now) if line[0] in "-+"]


def name_of(line: str) -> str:
    """Returns the name of a line's flag, the same for `--flip` and `--noflip`.

    Args:
        line: of `flags.txt`.
    """
    name, equals, _ = line.removeprefix("--").partition("=")
    return name if equals else name.removeprefix("no")


def _counts(line):
    return not line.startswith(("#", _PLACE))


def _told_alike(before, now, paths_before):
    """Returns the lines of before, as those of now where they mean the same."""
    paths_now, by_name = _paths(now), {name_of(line): line for line in now}
    told = []
    for line in before:
        other = by_name.get(name_of(line), "")
        mine, theirs = _parts(line), _parts(other)
        alike = len(mine) == len(theirs) and all(
            _is_same(*pair, paths_before.get(pair[0]), paths_now.get(pair[1]))
            for pair in zip(mine, theirs)
        )
        if alike:
            told.append(other)
        else:
            # One name, but another content.
            told.append(f"{line} (of before)" if line == other else line)
    return told


def _is_same(before, now, place_before, place_now):
    if not (place_before and place_now):
        return before == now
    (path_before, sum_before), (path_now, sum_now) = place_before, place_now
    if sum_before and sum_now:
        return sum_before == sum_now
    return before == now or path_before == path_now


def _noted(lines, before):
    """Returns where the paths of before led, as noted or as they do now."""
    notes = [line for line in lines if line.startswith(_NOTE)]
    try:
        return json.loads(notes[-1].removeprefix(_NOTE))
    except (IndexError, ValueError):
        return _paths(before)


def _paths(lines):
    """Returns where parts of flags lead: absolute paths, files' checksums."""
    found = {}
    for part in {
        part for line in lines if _counts(line) for part in _parts(line)
    }:
        # Not `Path.exists`, which refuses names that are too long.
        if os.path.exists(part):
            path = pathlib.Path(part)
            own = checksums.of_file(path) if path.is_file() else None
            found[part] = [str(path.resolve()), own]
    return dict(sorted(found.items()))


def _parts(line):
    """Returns what a flag's value lists, such as `modules=FILE` in two."""
    _, equals, value = line.partition("=")
    return re.split("[,=]", value) if equals else [line]
