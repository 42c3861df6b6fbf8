"""A tool's flags as text: in its help, in its record, in messages."""

import re
import shlex
import sys
import textwrap
from collections.abc import Collection
from collections.abc import Iterable

from absl import flags

FLAGS = flags.FLAGS

# Arguments of the library whose flags have other names.
_FLAG_NAMES = {
    "decay": "gamma",
    "head": "teacher_head",
    "initial": "w0",
    "optimizer_name": "optimizer",
    "outputs": "teacher_outputs",
    "pixels": "teacher_pixels",
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


def changed(names: Collection[str]) -> list[str]:
    """Returns flags that have not their default value, as one types them.

    Args:
        names: of the flags to look at.
    """
    flags_there = [FLAGS[name] for name in names if name in FLAGS]
    return [
        shlex.quote(flag.serialize())
        for flag in flags_there
        if flag.value != flag.default
    ]


def command(tool: str) -> str:
    """Returns how one calls another tool: as this one was called.

    Args:
        tool: string, its name.
    """
    if sys.argv[0].endswith(".py"):
        return f"python tools/{tool}.py"
    return f"indistill_tf {tool}"


def check_own() -> None:
    """Checks the flags that were given, beyond what absl does.

    Raises:
        flags.Error: if one is of a package that this one uses, such as absl's
            debugger, or a number has more than 32 bits.
    """
    own = {flag.name for flag in _of_tool()} | {"flagfile", "undefok"}
    for name in FLAGS:
        if FLAGS[name].present and name not in own:
            raise flags.UnrecognizedFlagError(name)
    for flag in _of_tool():
        if isinstance(flag.value, int) and abs(flag.value) >= 2**32:
            raise flags.IllegalFlagValueError(
                f"flag --{flag.name}={flag.value}: has more than 32 bits"
            )


def page(description: str, rare: Collection[str] = ()) -> str:
    """Returns the tool's help: what it does, and its flags.

    Args:
        description: the tool's docstring.
        rare: names of flags that are named at the end, not explained.
    """
    lines = [description.strip()]
    chosen = _of_tool()
    named = [f"--{flag.name}" for flag in chosen if flag.name in rare]
    for flag in chosen:
        if flag.name in rare:
            continue
        default = flag.default_as_str.strip("'") if flag.default_as_str else ""
        # Behind it absl says at length that a flag may be repeated.
        explained = flag.help.partition(";\n")[0]
        name = f"  --{flag.name}={default}".ljust(34) + " "
        lines.append(_wrapped(explained, name, " " * 35))
    lines.append(
        "  --flagfile=FILE".ljust(35) + "more flags; the later one wins"
    )
    if named:
        text = f"--helpfull explains {' '.join(named)} too."
        lines.append(_wrapped(text, "  ", "  "))
    return "\n".join(lines)


def _wrapped(text, first, others):
    """Returns text in lines of 100 characters, each behind what begins it."""
    return textwrap.fill(
        text,
        100,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
    )


def translated(message: str) -> str:
    """Returns a message of the library with flags in place of arguments.

    An argument of which the tool has no flag stays as it is, and so do values
    that no flag is written as, such as lists.

    Args:
        message: of a `UserError`, one line.
    """
    return _ARGUMENT.sub(_replacement, message)


def _of_tool():
    """Returns the flags of the module that is run, in their order.

    absl files the flags of `python tools/x.py` under that path and those of an
    imported tool under its module, which `__main__.py` makes `sys.argv[0]`.
    """
    return FLAGS.flags_by_module_dict().get(sys.argv[0], [])


def _option_names():
    """Returns the names in the flags that take options, `name=value,...`."""
    return [
        text.partition("=")[0]
        for flag in _of_tool()
        if flag.name.endswith("options")
        for text in flag.value
    ]


def _replacement(match):
    argument, value = match.groups()
    flags_known = {flag.name for flag in _of_tool()}
    name = argument
    if name not in flags_known:
        name = _FLAG_NAMES.get(argument, argument)
    # There is `--momentum` of the optimizer and `momentum` of a loss.
    if name not in flags_known or argument in _option_names():
        return match[0]
    return _serialized(name, value) or match[0]


def _serialized(name, value):
    """Returns a flag with a value in Python's syntax, or None."""
    if value is None:
        return f"--{name}"
    if value in ("True", "False"):
        return f"--{name}" if value == "True" else f"--no{name}"
    if value == "None" or value.startswith(("(", "[", "{")):
        return None
    quotes = "'\""
    return f"--{name}={value.strip(quotes)}"
