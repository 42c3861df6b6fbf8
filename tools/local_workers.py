"""Several workers of one command on this machine, which end together."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from indistill_tf_tools import child
from indistill_tf_tools import local_runs

_SECONDS_BETWEEN_LOOKS = 0.1
# What a worker may take to notice that another one has ended.
_GRACE_SECONDS = 60


class LocalWorkers:
    """Processes that run the same sub-command and know of each other.

    They find each other by TF_CONFIG, on ports of the loopback device. Each
    line that one says comes with its number.

    Args:
        arguments: list of strings, the sub-command and its flags.
        count: int, the number of processes.
    """

    def __init__(self, arguments: Sequence[str], count: int):
        shared = local_runs.environment(count)
        self._readers = []
        self._processes = [
            self._start(arguments, number, {**shared, "TF_CONFIG": config})
            for number, config in enumerate(configurations(count))
        ]

    def run(self) -> int:
        """Waits for all, and returns the exit status of the first that failed.

        Where one fails, the others end by themselves, or after a minute are
        ended.
        """
        status, deadline = 0, None
        while any(process.poll() is None for process in self._processes):
            status = status or self._failed()
            if status and deadline is None:
                deadline = time.monotonic() + _GRACE_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                self.signal_all(signal.SIGKILL)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        for process, reader in zip(self._processes, self._readers):
            reader.join()
            process.stdin.close()
        return status or self._failed()

    def ended_within(self, seconds: float) -> bool:
        """Waits, and returns whether all have ended meanwhile.

        Args:
            seconds: float, at most.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(process.poll() is not None for process in self._processes):
                return True
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return False

    def signal_all(self, kind: int) -> None:
        """Sends a signal to all workers.

        Args:
            kind: of the signal.
        """
        for process in self._processes:
            process.send_signal(kind)

    def signal(self, number: int, kind: int) -> None:
        """Sends a signal to one worker.

        Args:
            number: int, the worker's.
            kind: of the signal.
        """
        self._processes[number].send_signal(kind)

    def _failed(self):
        """Returns the status of one that failed, or 0."""
        ended = (process.poll() for process in self._processes)
        found = next(filter(None, ended), 0)
        return found if found >= 0 else 128 - found

    def _start(self, arguments, number, environment):
        process = subprocess.Popen(
            # As in `child.py`: it ends when its standard input does.
            [
                sys.executable,
                "-P",
                "-m",
                child.__name__,
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        # A daemon: whoever is interrupted does not wait for what they say.
        reader = threading.Thread(
            target=_repeat, args=(process, number), daemon=True
        )
        reader.start()
        self._readers.append(reader)
        return process


def configurations(count: int) -> list[str]:
    """Returns the TF_CONFIG of each of several workers on this machine.

    Args:
        count: int.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [
        json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(count)
    ]


def free_ports(count: int) -> list[int]:
    """Returns ports of the loopback device that nobody listens on.

    Args:
        count: int.
    """
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def _repeat(process, number):
    with process.stdout as lines:
        for line in lines:
            print(f"[{number}] {line}", end="", flush=True)
