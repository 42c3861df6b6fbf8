"""The flags that runs would record, found out without running them."""

import importlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from absl import flags
from absl.testing import flagsaver

from indistill_tf_tools import cli
from indistill_tf_tools import recipes
from indistill_tf_tools.sweep_file import Row


def of_rows(
    rows: Sequence[Row], folder: pathlib.Path
) -> list[list[str] | None]:
    """Returns what runs of one sub-command would record of their flags.

    A process of its own reads them: each sub-command has other flags.

    Args:
        rows: list of `Row`.
        folder: of the sweep.

    Returns:
        A list for each run: all flags as text, and those with their default
        values. None for a run whose flags cannot be read: it will say why.
    """
    if not rows:
        return []
    lines = [row.command_line(folder) for row in rows]
    process = subprocess.run(
        [sys.executable, "-P", "-m", __name__, rows[0].command],
        input=json.dumps([arguments for _, *arguments in lines]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(process.stdout)


def _main(command):
    tool = importlib.import_module(f"indistill_tf_tools.{command}")
    # The module that absl files its flags under.
    sys.argv = [tool.__name__]
    print(json.dumps([_texts(own) for own in json.load(sys.stdin)]))


def _texts(arguments):
    with flagsaver.flagsaver():
        try:
            flags.FLAGS([*sys.argv, *recipes.expanded(arguments)])
        except (OSError, flags.Error):
            return None
        return cli.flags_text(), cli.default_flags_text()


if __name__ == "__main__":
    _main(sys.argv[1])
