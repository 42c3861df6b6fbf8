"""What tools write to a terminal: no chatter, errors in one line."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import logging as absl_logging

FULL_HELP = "--helpfull"
HELP = frozenset({"--help", "-help", "-h", "--helpshort", FULL_HELP})


def fail(message: str) -> NoReturn:
    """Writes an error to stderr and ends the process with exit status 1.

    Args:
        message: one line.
    """
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def log_to_stdout(translate: Callable[[str], str]) -> None:
    """Shows what the library logs, and only errors of other packages.

    Args:
        translate: function from a message of the library to the tool's.
    """
    logger = logging.getLogger("indistill_tf")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stdout)
    formatter = logging.Formatter("%(message)s")
    formatter.formatMessage = lambda record: translate(record.message)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    # app.run has just set absl's level from its own flag.
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
