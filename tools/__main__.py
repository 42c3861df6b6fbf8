"""The command `indistill_tf`: each of its sub-commands is a tool."""

import ast
import importlib
import pathlib
import re
import sys

from indistill_tf_tools import cli
from indistill_tf_tools import terminal

# What a checkout alone has a use for, such as benchmarks, is not among them.
COMMANDS = (
    "distill",
    "train",
    "evaluate",
    "export",
    "compress",
    "report",
    "sweep",
    "models",
    "methods",
    "train_rdm",
    "distill_clip",
    "launch_local",
)


def main() -> None:
    """Runs the sub-command that the command line names."""
    name, *arguments = sys.argv[1:] or [""]
    if name in terminal.HELP:
        print(_page())
        return
    if name not in COMMANDS:
        problem = f"Unknown sub-command: {name!r}." if name else "Which one?"
        terminal.fail(f"{problem} Expected one of: {', '.join(COMMANDS)}.")
    tool = importlib.import_module(f"indistill_tf_tools.{name}")
    # absl files flags under the module that defines them; `flag_texts.py`
    # looks for them here.
    sys.argv = [tool.__name__, *arguments]
    cli.run(tool.main, _as_command(tool.__doc__))


def _page():
    lines = [
        "Knowledge distillation for Keras 3.\n",
        "indistill_tf SUB-COMMAND --flag=value ...",
    ]
    for name in COMMANDS:
        # Tools define their flags when they are imported, so none is here.
        path = pathlib.Path(__file__).with_name(f"{name}.py")
        text = ast.get_docstring(ast.parse(path.read_text()))
        lines.append(f"  {name:<14}{_as_command(text).splitlines()[0]}")
    lines.append("\n`indistill_tf SUB-COMMAND --help` lists its flags.")
    return "\n".join(lines)


def _as_command(description):
    """Returns a tool's docstring as users of the command read it."""
    return re.sub(
        r"(?:python )?tools/(\w+)\.py", r"indistill_tf \1", description
    )


if __name__ == "__main__":
    main()
