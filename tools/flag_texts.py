"""A tool's flags as text: in its help, in its record, in messages."""

import re
import sys
import textwrap
from collections.abc import Iterable

from absl import flags

FLAGS = flags.FLAGS

# Arguments of the library whose flags have other names.
_FLAG_NAMES = {
    "decay": "gamma",
    "initial": "w0",
    "optimizer_name": "optimizer",
    "tap_weight": "w0",
}
# `name` or `name=value`, as messages of the library quote arguments.
_ARGUMENT = re.compile(r"`(\w+)(?:=([^`]+))?`")


def of_tool() -> list[flags.Flag]:
    """Returns the flags of the tool that runs, sorted by name."""
    return sorted(_of_tool(), key=lambda flag: flag.name)


def lines(chosen: Iterable[flags.Flag]) -> str:
    """Returns flags that have a value, one a line, as a flag file takes them.

    Args:
        chosen: flags.
    """
    return "".join(
        f"{flag.serialize()}\n" for flag in chosen if flag.value is not None
    )


def page(description: str) -> str:
    """Returns the tool's help: what it does, and its flags.

    Args:
        description: the tool's docstring.
    """
    lines = [description.strip()]
    for flag in _of_tool():
        default = flag.default_as_str.strip("'") if flag.default_as_str else ""
        text = f"  --{flag.name}={default}".ljust(34) + f" {flag.help}"
        lines.append(textwrap.shorten(text, 100) if len(text) > 100 else text)
    lines.append(
        "  --flagfile=FILE".ljust(35) + "more flags; the later one wins"
    )
    return "\n".join(lines)


def translated(message: str) -> str:
    """Returns a message of the library with flags in place of arguments.

    An argument of which the tool has no flag stays as it is, and so do values
    that no flag is written as, such as lists.

    Args:
        message: of a `UserError`, one line.
    """
    known = {flag.name: flag for flag in _of_tool()}
    for name in _option_names(known):
        # There is `--momentum` of the optimizer and `momentum` of a loss.
        known.pop(name, None)
    return _ARGUMENT.sub(lambda match: _as_flag(match, known), message)


def _of_tool():
    """Returns the flags of the module that is run, in their order.

    absl files the flags of `python tools/x.py` under that path and those of an
    imported tool under its module, which `__main__.py` makes `sys.argv[0]`.
    """
    return FLAGS.flags_by_module_dict().get(sys.argv[0], [])


def _option_names(known):
    """Returns the names in the flags that take options, `name=value,...`."""
    return [
        text.partition("=")[0]
        for name, flag in known.items()
        if name.endswith("options")
        for text in flag.value
    ]


def _as_flag(match, known):
    name, value = match.groups()
    name = _FLAG_NAMES.get(name, name)
    if name not in known:
        return match[0]
    if value is None:
        return f"--{name}"
    if value == "None" or value.startswith(("(", "[", "{")):
        return match[0]
    if value in ("True", "False"):
        return f"--{name}" if value == "True" else f"--no{name}"
    quotes = "'\""
    return f"--{name}={value.strip(quotes)}"
