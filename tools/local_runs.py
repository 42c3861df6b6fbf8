"""Runs of a sweep on this machine, a number of them at a time."""

import math
import os
import pathlib
import statistics
import time
from collections.abc import Collection
from collections.abc import Sequence

from indistill_tf_tools.child import Child
from indistill_tf_tools.sweep_file import Row

_SECONDS_BETWEEN_LOOKS = 0.1
_THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")


class LocalRuns:
    """Rows of a sweep, each run in a process and a folder of its own.

    The cores are shared out to as many processes as run at a time. What these
    say goes into `log.txt` of their folders; what a single one says, to the
    terminal.

    Args:
        rows: list of `Row`, those to run.
        folder: of the sweep.
        jobs: int, processes at a time.
        finished: names of the other rows, which are finished.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        folder: pathlib.Path,
        jobs: int,
        finished: Collection[str],
    ):
        self.failures = {}
        self._folder, self._jobs, self._count = folder, jobs, len(rows)
        self._waiting, self._running = list(rows), {}
        self._finished, self._seconds = set(finished), []
        self._environment = environment(jobs)

    def run(self) -> dict[str, str]:
        """Runs all; each row after those that it needs.

        Returns:
            Dict from the names of those that failed to what they said last.
        """
        try:
            while self._waiting or self._running:
                self._start_those_that_can()
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                for name, child in list(self._running.items()):
                    if child.ended():
                        del self._running[name]
                        self._end(name, child)
        finally:
            for child in self._running.values():
                child.ask_to_end()
            for child in self._running.values():
                child.end()
        return self.failures

    def _start_those_that_can(self):
        for row in list(self._waiting):
            failed = self.failures.keys() & set(row.needs)
            if failed:
                self._waiting.remove(row)
                self._fail(row.name, f"needs {min(failed)}, which failed.")
            elif (
                self._finished.issuperset(row.needs)
                and len(self._running) < self._jobs
            ):
                self._waiting.remove(row)
                self._running[row.name] = Child(
                    row.command_line(self._folder),
                    self._folder / row.name,
                    self._environment,
                    on_terminal=self._jobs == 1,
                )

    def _end(self, name, child):
        error = child.error()
        if error:
            self._fail(name, error.removeprefix("error: "))
            return
        self._finished.add(name)
        self._seconds.append(child.seconds)
        self._say(f"{name}: {_duration(child.seconds)}{self._forecast()}")

    def _fail(self, name, error):
        self.failures[name] = error
        self._say(f"{name} failed: {error}")

    def _say(self, text):
        over = self._count - len(self._waiting) - len(self._running)
        print(f"[{over}/{self._count}] {text}", flush=True)

    def _forecast(self):
        left = len(self._waiting) + len(self._running)
        if not left:
            return ""
        rounds = math.ceil(left / self._jobs)
        seconds = rounds * statistics.mean(self._seconds)
        return f"; about {_duration(seconds)} left if all take as long"


def _duration(seconds):
    from indistill_tf.training.progress import duration

    return duration(seconds)


def environment(jobs: int) -> dict[str, str]:
    """Returns environment variables that share out the cores.

    Args:
        jobs: int, processes at a time.
    """
    if jobs == 1:
        return dict(os.environ)
    threads = str(max(os.cpu_count() // jobs, 1))
    # Logs are then up to date.
    shared = dict.fromkeys(_THREADS, threads) | {"PYTHONUNBUFFERED": "1"}
    return {**shared, **os.environ}
