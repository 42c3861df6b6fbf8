"""Finds the files of `flags/` by name, wherever the package lies."""

import difflib
import errno
import os
import pathlib
from collections.abc import Sequence

_DIRECTIVES = ("--flagfile", "-flagfile")
_HERE = pathlib.Path(__file__).resolve().parent
# In a wheel they lie in this package, in a checkout beside it.
FOLDER = _HERE / "flags"
if not FOLDER.is_dir():
    FOLDER = _HERE.parent / "flags"


def find(name: str) -> pathlib.Path:
    """Returns the path of a file, of one's own or a recipe that comes along.

    Args:
        name: a path; what is not there is looked up among the recipes, with or
            without `flags/` before it.

    Raises:
        FileNotFoundError: if it is in neither place; its `strerror` says where
            it was looked up, and names some that exist.
        OSError: if it is a device.
    """
    path = pathlib.Path(os.path.expanduser(name))
    recipe = FOLDER / name.removeprefix("flags/")
    for found in (path, recipe):
        if found.exists():
            _refuse_device(found)
            return found
    known = [str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.*")]
    closest = difflib.get_close_matches(name, sorted(known), 5, 0.0)
    raise FileNotFoundError(
        errno.ENOENT,
        f"no such file in {os.getcwd()} or in {FOLDER}, which has "
        f"{', '.join(closest)} and others.",
        name,
    )


def read(path: pathlib.Path) -> str:
    """Returns the text of a file that `find` found.

    Args:
        path: of the file.

    Raises:
        OSError: if it holds something else.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        message = "holds something else than text in UTF-8"
        raise OSError(errno.EINVAL, message, str(path)) from None


def expanded(arguments: Sequence[str]) -> list[str]:
    """Returns arguments with the lines of each flag file in its place.

    absl reads flag files too, but by their paths alone.

    Args:
        arguments: of a command line, without the tool.

    Raises:
        OSError: if a file cannot be read, see `find`.
    """
    found, rest = [], list(arguments)
    while rest and rest[0] != "--":
        argument = rest.pop(0)
        if argument in _DIRECTIVES and rest:
            argument = f"{argument}={rest.pop(0)}"
        found += _lines(argument)
    return found + rest


def _lines(argument, readers=()):
    name, _, value = argument.partition("=")
    if name not in _DIRECTIVES or not value:
        return [argument]
    path = find(value)
    if path in readers:  # It includes itself; absl skips it then, too.
        return []
    lines = map(str.strip, read(path).splitlines())
    return [
        found
        for line in lines
        if line and not line.startswith(("#", "//"))
        for found in _lines(line, (*readers, path))
    ]


def _refuse_device(path):
    # `/dev/full` has no end.
    if path.is_char_device() or path.is_block_device():
        raise OSError(errno.EINVAL, "is a device, not a file", str(path))
