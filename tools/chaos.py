"""Kills the workers of a run at random moments, and looks what becomes of it.

python tools/chaos.py --kills=20 --folder=runs/chaos -- distill --flagfile=F

The command runs once undisturbed and as often disturbed as the kills take, each
time in a folder of its own, which is given as --work_dir. All networks must end
in the same SHA-256.
"""

import pathlib
import random
import signal
import time

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools.local_workers import LocalWorkers

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", None, "the runs go there")
flags.DEFINE_integer("workers", 2, "how many", 1)
flags.DEFINE_integer("kills", 20, "how many", 1)
flags.DEFINE_integer("seed", 0, "of moments, victims and signals", 0)
flags.mark_flag_as_required("folder")

_SIGNALS = (signal.SIGKILL, signal.SIGTERM)


def main(command):
    from indistill_tf.errors import UserError

    folder = pathlib.Path(FLAGS.folder)
    start = time.monotonic()
    _start(command, folder / "undisturbed").run()
    seconds = time.monotonic() - start
    expected = _checksums(folder / "undisturbed")
    print(f"undisturbed: {len(expected)} networks, {seconds:.0f} s", flush=True)
    rng = random.Random(FLAGS.seed)
    kills, runs = 0, 0
    while kills < FLAGS.kills:
        runs += 1
        disturbed = folder / f"disturbed_{runs}"
        while kills < FLAGS.kills and _disturb(
            command, disturbed, kills + 1, seconds, rng
        ):
            kills += 1
        status = _start(command, disturbed).run()
        found = _checksums(disturbed)
        if status or found != expected or not expected:
            raise UserError(
                f"The disturbed run ended with status {status} and {found}; "
                f"undisturbed {expected}."
            )
    print(
        f"After {kills} kills in {runs} runs the same SHA-256: "
        f"{', '.join(expected)}"
    )


def _start(command, folder):
    return LocalWorkers(
        [command[0], "--strategy=multi_worker", *command[1:]]
        + [f"--work_dir={folder}"],
        FLAGS.workers,
    )


def _disturb(command, folder, number, seconds, rng):
    """Runs the command, and kills a worker unless the run ends before.

    Returns:
        Bool, whether a worker was killed.
    """
    wait = rng.uniform(0, seconds)
    victim, kind = rng.randrange(FLAGS.workers), rng.choice(_SIGNALS)
    workers = _start(command, folder)
    if workers.ended_within(wait):
        return False
    workers.signal(victim, kind)
    killed = time.monotonic()
    status = workers.run()
    print(
        f"kill {number}: {kind.name} of worker {victim} after {wait:.1f} s; "
        f"status {status}, all ended {time.monotonic() - killed:.1f} s later",
        flush=True,
    )
    return True


def _checksums(folder):
    """Returns the SHA-256 of the networks that a run has finished, by role."""
    from indistill_tf.training import work_directory

    return {
        str(path.parent.relative_to(folder)): work_directory.read_json(path)[
            "checksum"
        ]
        for path in sorted(folder.rglob("result.json"))
    }


if __name__ == "__main__":
    cli.run(main, __doc__)
