"""Sweep files: the runs of a table, one line for as many as differ alike."""

import dataclasses
import itertools
import pathlib
import re
import shlex
from collections.abc import Iterator
from collections.abc import Sequence

from indistill_tf_tools import recipes

# What a row may run, and the file or folder that each writes last.
COMMANDS = {
    "distill": "saved_model",
    "train": "saved_model",
    "train_rdm": "result.json",
}

_NAME = re.compile(r"[A-Za-z_][\w.-]*(/[A-Za-z_][\w.-]*)*")
_VALUES = re.compile(r"\{(\w+)=([^{}]*)\}")
_VALUE = re.compile(r"\{(\w+)\}")
_IN_FOLDER = re.compile(r"\{folder\}/([\w./-]+)")


@dataclasses.dataclass(frozen=True)
class Row:
    """One run of a sweep.

    Attributes:
        name: string, its folder within the sweep's.
        command: string, the sub-command that it runs.
        arguments: tuple of strings, its flags but `--work_dir`.
        needs: tuple of strings, names of earlier rows whose files it reads.
    """

    name: str
    command: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()

    def command_line(self, folder: pathlib.Path) -> list[str]:
        """Returns the sub-command and all its flags.

        Args:
            folder: of the sweep.
        """
        own = f"--work_dir={folder / self.name}"
        return [self.command, *self.arguments, own]


def read(
    path: pathlib.Path, folder: pathlib.Path, common: Sequence[str] = ()
) -> list[Row]:
    """Returns the runs of a sweep file, in its order.

    A line is `name: flags`, with a sub-command before the flags where it is
    not `distill`. `{key=a,b}` in the name makes a run of each value, and of
    each combination where there are several; `{key}` in the flags is the value.
    `{folder}` is the sweep's folder: a run with `{folder}/NAME` among its flags
    needs the run of that name. Lines of flags alone are for all runs, those
    with a sub-command before them for all of its runs. `#` begins a comment.

    Args:
        path: the file.
        folder: of the sweep.
        common: further lines of flags, which come last.

    Raises:
        UserError: if a line is of neither kind, a name is there twice, a value
            is named in one place only, or a run needs one that comes later.
    """
    from indistill_tf.errors import UserError

    lines = [
        (line, f"{path}, line {number}")
        for number, line in enumerate(recipes.read(path).splitlines(), start=1)
        if shlex.split(line, comments=True)
    ]
    shared = [flags for line, _ in lines if (flags := _shared(line))]
    last = [_shared(line) for line in common]
    if None in last:
        raise UserError(
            "--common takes flags, or a sub-command and its flags. Received: "
            f"{common[last.index(None)]!r}"
        )
    rows = {}
    for line, place in lines:
        if _shared(line):
            continue
        for row in _rows(line, place, shared, last):
            if row.name in rows:
                raise _error(place, line)
            rows[row.name] = row
    return [_placed(row, list(rows), folder) for row in rows.values()]


def _shared(line):
    """Returns a sub-command, or None for all, and its flags; or None."""
    words = shlex.split(line, comments=True)
    command = words.pop(0) if words and words[0] in COMMANDS else None
    if not words or not words[0].startswith("-"):
        return None
    return command, words


def _rows(line, place, shared, last) -> Iterator[Row]:
    """Yields the rows of a line, in whose flags `{folder}` still stands."""
    pattern, _, rest = line.partition(":")
    words = shlex.split(rest, comments=True)
    command = "distill"
    if words and not words[0].startswith("-"):
        command = words.pop(0)
    for name, values in _combinations(pattern):
        if not _NAME.fullmatch(name) or command not in COMMANDS:
            raise _error(place, line)
        flags = [*_of(command, shared), *words, *_of(command, last)]
        _check_values(place, values, flags)
        values["folder"] = "{folder}"
        filled = (_filled(flag, _VALUE, values) for flag in flags)
        yield Row(name, command, tuple(filled))


def _of(command, shared):
    return [
        flag
        for owner, flags in shared
        if owner in (None, command)
        for flag in flags
    ]


def _combinations(pattern) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields a name and its values for each combination of them."""
    choices = dict(_VALUES.findall(pattern))
    lists = (text.split(",") for text in choices.values())
    for chosen in itertools.product(*lists):
        values = dict(zip(choices, chosen, strict=True))
        yield _filled(pattern, _VALUES, values), values


def _filled(text, places, values):
    return places.sub(lambda match: values[match[1]], text)


def _check_values(place, values, flags):
    from indistill_tf.errors import UserError

    used = {key for flag in flags for key in _VALUE.findall(flag)} - {"folder"}
    for key in sorted(used ^ set(values)):
        raise UserError(
            f"{place}: {{{key}}} in the flags is a value of {{{key}=...}} in "
            "the name. Received one without the other."
        )


def _placed(row, names, folder):
    """Returns a row that knows the folder, and which rows it needs."""
    from indistill_tf.errors import UserError

    # Of a flag that is there twice, the later one counts.
    flags = {flag.partition("=")[0]: flag for flag in row.arguments}
    read = _IN_FOLDER.findall(" ".join(flags.values()))
    needs = [
        name
        for name in names
        if any(f"{path}/".startswith(f"{name}/") for path in read)
    ]
    for name in needs:
        if names.index(name) >= names.index(row.name):
            raise UserError(
                f"Run {row.name!r} needs {name!r}, which does not stand above "
                "it. Move it there."
            )
    filled = (flag.replace("{folder}", str(folder)) for flag in row.arguments)
    return Row(row.name, row.command, tuple(filled), tuple(needs))


def _error(place, line):
    from indistill_tf.errors import UserError

    return UserError(
        f"{place}: expected `name: flags`, each name once, or shared flags. "
        f"Received: {line!r}"
    )
