"""Kills the workers of a run at random moments, and looks what becomes of it.

python tools/chaos.py --kills=20 --folder=runs/chaos -- distill --flagfile=F

The command runs once undisturbed and once disturbed, each in a folder of its
own that is given as --work_dir. All networks must end in the same SHA-256.
"""

import pathlib
import random
import signal
import time

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools.local_workers import LocalWorkers

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", None, "the two runs go there")
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
    for number in range(1, FLAGS.kills + 1):
        _disturb(command, folder / "disturbed", number, seconds, rng)
    status = _start(command, folder / "disturbed").run()
    found = _checksums(folder / "disturbed")
    if status or found != expected or not expected:
        raise UserError(
            f"The disturbed run ended with status {status} and "
            f"{found}; undisturbed {expected}."
        )
    print(f"After {FLAGS.kills} kills the same SHA-256: {', '.join(found)}")


def _start(command, folder):
    return LocalWorkers(
        [command[0], "--strategy=multi_worker", *command[1:]]
        + [f"--work_dir={folder}"],
        FLAGS.workers,
    )


def _disturb(command, folder, number, seconds, rng):
    """Runs the command, kills one of its workers and waits for the others."""
    wait = rng.uniform(0, seconds)
    victim, kind = rng.randrange(FLAGS.workers), rng.choice(_SIGNALS)
    workers = _start(command, folder)
    time.sleep(wait)
    workers.signal(victim, kind)
    killed = time.monotonic()
    status = workers.run()
    print(
        f"kill {number}: {kind.name} of worker {victim} after {wait:.1f} s; "
        f"status {status}, all ended {time.monotonic() - killed:.1f} s later",
        flush=True,
    )


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
