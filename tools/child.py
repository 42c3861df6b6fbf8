"""A sub-command in a process of its own, which ends with its parent."""

import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from collections.abc import Sequence

LOG = "log.txt"
_SECONDS_TO_SAVE = 30


class Child:
    """A process that runs a sub-command.

    Its standard input is a pipe to which nobody writes. The pipe closes when
    the parent is gone, however it ended, and then the child ends too.

    Args:
        arguments: list of strings, the sub-command and its flags.
        folder: where its `log.txt` goes.
        environment: dict of its environment variables.
        on_terminal: bool, whether its output goes to the terminal. Errors are
            in its log in either case.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: pathlib.Path,
        environment: Mapping[str, str],
        on_terminal: bool,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / LOG
        self._start = time.monotonic()
        self.seconds = None
        with open(self._log, "a") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(
                # Python must not look for packages in the user's directory.
                [sys.executable, "-P", "-m", __name__, *arguments],
                stdin=subprocess.PIPE,
                stdout=None if on_terminal else log,
                stderr=log,
                env=environment,
                # Ctrl-C reaches the parent alone.
                start_new_session=True,
            )

    def ended(self) -> bool:
        """Returns whether it has ended, and if so notes its `seconds`."""
        if self._process.poll() is None:
            return False
        self.seconds = time.monotonic() - self._start
        self._process.stdin.close()
        return True

    def error(self) -> str | None:
        """Returns what it said last if it failed, else None."""
        status = self._process.returncode
        if status == 0:
            return None
        with open(self._log, errors="replace") as log:
            log.seek(self._said_before)
            lines = log.readlines()
        said = [line.strip() for line in lines if line.strip()]
        return said[-1] if said else f"ended with status {status}"

    def ask_to_end(self) -> None:
        """Lets it save where it is, and end."""
        self._process.terminate()

    def end(self) -> None:
        """Waits until it has ended, but not for long."""
        # Not `communicate`, which would close the pipe, and so end it at once.
        try:
            self._process.wait(_SECONDS_TO_SAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdin.close()


def _end_with_parent():
    # Not `sys.stdin`, which Python locks while something reads it.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    from indistill_tf_tools import __main__ as command

    threading.Thread(target=_end_with_parent, daemon=True).start()
    command.main()
