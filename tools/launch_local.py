"""Runs a command in several workers on this machine, to try it out.

python tools/launch_local.py --workers=2 -- distill --flagfile=quickstart.flags

The workers train together, as on a cluster by --strategy=multi_worker. On a
machine with several GPUs, distill --strategy=mirrored is simpler and faster.
"""

import signal
import sys

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools.local_workers import LocalWorkers

FLAGS = flags.FLAGS
flags.DEFINE_integer("workers", 2, "how many", 1)


def main(command):
    from indistill_tf.errors import UserError

    if not command or command[0].startswith("-"):
        raise UserError(
            "Behind -- comes a sub-command with its flags, such as `-- distill "
            f"--flagfile=quickstart.flags`. Received: {' '.join(command)!r}"
        )
    name, *rest = command
    workers = LocalWorkers(
        [name, "--strategy=multi_worker", *rest], FLAGS.workers
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda kind, _: workers.signal_all(kind))
    sys.exit(workers.run())


if __name__ == "__main__":
    cli.run(main, __doc__)
