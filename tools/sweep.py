"""Runs what a file lists, such as methods and seeds, and prints one table.

python tools/sweep.py --runs=flags/every_method.sweep --work_dir=runs/sweep

A line `NAME: --flags` is a run of `distill`, `NAME: train --flags` one of
`train`; `NAME_seed{seed=0,1,2}: --seed={seed}` is three. Lines that begin with
`--` hold flags that all runs share. The same command goes on where it stopped.
"""

import dataclasses
import pathlib
import shlex
import sys

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import launchers
from indistill_tf_tools import recipes
from indistill_tf_tools import recorded_flags
from indistill_tf_tools import sweep_file
from indistill_tf_tools.local_runs import LocalRuns

FLAGS = flags.FLAGS
flags.DEFINE_string("runs", None, "a file, or a recipe, that lists them")
flags.DEFINE_string("work_dir", None, "each run gets a folder in it")
flags.DEFINE_multi_string(
    "common", None, "more flags for all, or 'train --flags'; repeatable"
)
flags.DEFINE_integer("jobs", None, "runs at a time; by default 1 here", 1)
flags.DEFINE_enum(
    "launcher", "local", ["local", *launchers.SUBMIT], "what runs them"
)
flags.DEFINE_integer(
    "workers", 1, "processes that train each run together, on a cluster", 1
)
flags.DEFINE_list(
    "launcher_options", "", "of sbatch: gpus=1,...; or image=,claim=,gpus="
)
flags.DEFINE_bool("dry_run", False, "print what would be run or submitted")
flags.mark_flags_as_required(["runs", "work_dir"])


def main():
    from indistill_tf.training import work_directory

    folder = pathlib.Path(FLAGS.work_dir)
    rows = sweep_file.read(recipes.find(FLAGS.runs), folder, FLAGS.common or ())
    if FLAGS.workers > 1:
        rows = _shared_out(rows)
    with work_directory.locked(folder):
        finished = _finished(rows, folder)
        left = [row for row in rows if row.name not in finished]
        if FLAGS.launcher != "local":
            _launch(left, folder, finished)
        elif FLAGS.dry_run:
            for row in left:
                print(shlex.join(row.command_line(folder)))
        else:
            _run(rows, left, folder, finished)


def _shared_out(rows):
    """Returns rows as each of several workers runs them."""
    from indistill_tf.errors import UserError

    if FLAGS.launcher == "local":
        raise UserError(
            f"--workers={FLAGS.workers} needs --launcher=slurm or kubernetes. "
            "On this machine `launch_local` runs one command in several."
        )
    alone = [row.name for row in rows if row.command == "train_rdm"]
    if alone:
        raise UserError(
            f"Runs of train_rdm take one process. Received: {alone[0]!r} with "
            f"--workers={FLAGS.workers}"
        )
    return [
        dataclasses.replace(
            row, arguments=("--strategy=multi_worker", *row.arguments)
        )
        for row in rows
    ]


def _finished(rows, folder):
    """Returns the names of rows that were run before, with the same flags."""
    from indistill_tf.training import flag_record
    from indistill_tf.training import promises

    names = set()
    for command, last in sweep_file.COMMANDS.items():
        written = [
            row
            for row in rows
            if row.command == command
            and promises.is_finished(folder / row.name, last)
        ]
        for row, texts in zip(written, recorded_flags.of_rows(written, folder)):
            path = folder / row.name / flag_record.NAME
            if texts and not flag_record.changes(path, *texts):
                names.add(row.name)
    return names


def _launch(rows, folder, finished):
    """Submits the rows that need no other, or prints what it would submit."""
    ready = [row for row in rows if finished.issuperset(row.needs)]
    if not ready:
        print("Nothing is left to do.")
        return
    options = dict(text.partition("=")[::2] for text in FLAGS.launcher_options)
    text = launchers.job(
        *(FLAGS.launcher, ready, folder, FLAGS.jobs, options, FLAGS.workers)
    )
    print(text if FLAGS.dry_run else launchers.submit(FLAGS.launcher, text))
    if len(ready) < len(rows):
        print(
            f"{len(rows) - len(ready)} runs need one that is not finished. "
            "Repeat the command when it is.",
            file=sys.stderr,
        )


def _run(rows, left, folder, finished):
    from indistill_tf.errors import UserError

    print(f"{len(rows)} runs, {len(finished)} of them finished.", flush=True)
    failures = LocalRuns(left, folder, FLAGS.jobs or 1, finished).run()
    _print_table([row for row in rows if row.name not in failures], folder)
    for name, error in failures.items():
        print(f"{name}: {error}", file=sys.stderr)
    if failures:
        raise UserError(
            f"{len(failures)} of the runs failed: {', '.join(failures)}. What "
            "each said last is above; repeat the command to go on."
        )


def _print_table(rows, folder):
    from indistill_tf.files import replacing
    from indistill_tf.training import promises
    from indistill_tf.training import report

    results = {
        row.name: promises.read(folder / row.name / promises.RECORD)
        for row in rows
        if row.command != "train_rdm"
    }
    if results:
        text = report.table(results)
        with replacing(folder / "table.txt") as temporary:
            temporary.write_text(f"{text}\n")
        print(f"\n{text}")


if __name__ == "__main__":
    cli.run(main, __doc__)
