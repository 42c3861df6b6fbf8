"""What tools write to a terminal: no chatter, errors in one line."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from absl import logging as absl_logging

from indistill_tf_tools import flag_texts

FULL_HELP = "--helpfull"
HELP = frozenset({"--help", "-help", "-h", "--helpshort", FULL_HELP})


class _Translated(logging.Formatter):
    """Names flags where the library names arguments."""

    def format(self, record: logging.LogRecord) -> str:
        return flag_texts.translated(super().format(record))


class _Interrupted(KeyboardInterrupt):
    """A signal that came.

    Where `KeyboardInterrupt` itself leaves a text that `exec` runs, as in an
    import, Python ends `python -m` by SIGINT, whatever its exit status is.
    """


def fail(message: str) -> NoReturn:
    """Writes an error to stderr and ends the process with exit status 1.

    Args:
        message: one line.
    """
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


@contextlib.contextmanager
def ending_in_a_line() -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end the process without a traceback.

    Its exit status is 128 and the signal's number, as of a shell's.
    """
    # Not of the exception alone: libraries in C raise one of their own.
    came = signal.SIGINT

    def interrupt(number, frame):
        nonlocal came
        del frame
        came = number
        raise _Interrupted

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt as interrupted:
        number = getattr(interrupted, "number", came)
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)
        print(
            f"Interrupted by {signal.Signals(number).name}. The same command "
            "goes on where it stopped.",
            file=sys.stderr,
        )
        sys.exit(128 + number)
    except BrokenPipeError:
        # Who reads the output has seen enough, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def log_to_stdout() -> None:
    """Shows what the library logs, and only errors of other packages."""
    logger = logging.getLogger("indistill_tf")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Translated("%(message)s"))
    logger.addHandler(handler)
    absl_logging.set_verbosity(absl_logging.ERROR)
    for name in ("tensorflow", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def quiet():
    """Hides what TensorFlow's C++ side writes before it reads its log level."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
