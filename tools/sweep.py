"""Distils once for each line of a file, and prints one table.

python tools/sweep.py --runs=flags/every_method.sweep --work_dir=runs/sweep

A line of the file is `name: flags`; lines that begin with `--` hold flags that
all runs share, and `#` begins a comment. The same command goes on where it was
interrupted.
"""

import pathlib
import shlex
import subprocess
import sys

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import recipes

FLAGS = flags.FLAGS
flags.DEFINE_string("runs", None, "a file, or a recipe, with one run a line")
flags.DEFINE_string("work_dir", None, "each run gets a folder in it")
flags.DEFINE_string("common", "", "more flags for all runs, in one string")
flags.mark_flags_as_required(["runs", "work_dir"])


def main():
    from indistill_tf.errors import UserError
    from indistill_tf.training import report
    from indistill_tf.training import work_directory

    folder = pathlib.Path(FLAGS.work_dir)
    results, failed = {}, []
    for name, arguments in read_runs(recipes.find(FLAGS.runs)).items():
        print(f"\n{name}: {shlex.join(arguments)}", flush=True)
        arguments += shlex.split(FLAGS.common)
        if not _distilled(*arguments, f"--work_dir={folder / name}"):
            failed.append(name)
            continue
        path = folder / name / "result.json"
        results[name] = work_directory.read_json(path)
    if results:
        text = report.table(results)
        (folder / "table.txt").write_text(f"{text}\n")
        print(f"\n{text}")
    if failed:
        raise UserError(
            f"{len(failed)} of the runs failed: {', '.join(failed)}. What each "
            "said is above; repeat the command to go on."
        )


def _distilled(*arguments):
    """Distils in a process of its own; returns whether it succeeded."""
    # Python must not look for packages in the user's directory (-P).
    command = [sys.executable, "-P", "-m", "indistill_tf_tools", "distill"]
    return subprocess.run([*command, *arguments]).returncode == 0


def read_runs(path: pathlib.Path) -> dict[str, list[str]]:
    """Returns the flags of each run of a file, by name.

    Args:
        path: the file.

    Raises:
        UserError: if a line is neither a run nor shared flags.
    """
    from indistill_tf.errors import UserError

    shared, runs = [], {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        name, colon, rest = line.partition(":")
        if line.startswith("--"):
            shared += shlex.split(line, comments=True)
        elif colon and name.isidentifier() and name not in runs:
            runs[name] = shlex.split(rest, comments=True)
        elif shlex.split(line, comments=True):
            raise UserError(
                f"{path}, line {number}: expected `name: flags`, each name "
                f"once, or shared flags. Received: {line!r}"
            )
    return {name: [*shared, *own] for name, own in runs.items()}


if __name__ == "__main__":
    cli.run(main, __doc__)
