"""Writing files that are whole or not there, one process at a time."""

import contextlib
import fcntl
import logging
import os
import pathlib
from collections.abc import Iterator

from indistill_tf.hints import Path

logger = logging.getLogger("indistill_tf")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that takes a file's place on success.

    Whenever the process dies, the file is whole: the old one or the new.

    Args:
        path: the final path.
    """
    path = pathlib.Path(path)
    # The suffix stays last: savers choose the format by it.
    temporary = path.with_name(f".writing-{path.name}")
    yield temporary
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


@contextlib.contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Lets one process at a time go on; the others wait.

    The lock goes with the process, also when it is killed.

    Args:
        path: the lock's file, made where it is missing.
    """
    with open(path, "w") as handle:
        if not _take(handle):
            logger.info("Another process holds %s; waiting for it", path)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def refusing_lock(path: Path, refusal: Exception) -> Iterator[None]:
    """Lets one process at a time go on; the others are refused.

    The lock goes with the process, also when it is killed.

    Args:
        path: the lock's file, made where it is missing.
        refusal: exception, raised where another process holds the lock.
    """
    with open(path, "w") as handle:
        if not _take(handle):
            raise refusal
        yield


def _take(handle):
    """Takes a lock if no other process holds it, and returns whether."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
