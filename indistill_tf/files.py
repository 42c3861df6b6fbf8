"""Writing files that are whole or not there, one process at a time."""

import contextlib
import fcntl
import logging
import os
import pathlib
import shutil
import stat
from collections.abc import Iterator

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.hints import Path

logger = logging.getLogger("indistill_tf")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that takes a file's place on success.

    Whenever the process dies, the file is whole: the old one or the new.

    Args:
        path: the final path.

    Raises:
        UserError: if there is something else than a file, which is left as it
            is, or the file cannot be written.
    """
    path = check_output(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name a file to write.")
    with _temporary(path) as temporary:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[pathlib.Path]:
    """Yields an empty folder that takes another one's place on success.

    Args:
        path: the final path.

    Raises:
        UserError: if there is something else than a folder, which is left as
            it is, or a file in it cannot be written.
    """
    path = check_output(path)
    if path.is_file():
        raise UserError(f"{path} is a file. Name a folder to write.")
    with _temporary(path) as temporary:
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        older = path.with_name(f".replaced-{path.name}")
        _remove(older)
        if path.exists():
            os.replace(path, older)
        os.replace(temporary, path)
        _remove(older)


def reserve(path: Path, size: int) -> None:
    """Makes sure that a file finds room, for writers that fail badly.

    HDF5 ends the whole process where it cannot write.

    Args:
        path: of the file, which is empty afterwards.
        size: int, bytes that it will take at most.

    Raises:
        OSError: if there is no room.
    """
    with open(path, "wb") as file:
        # macOS has no such call.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


def check_output(path: Path) -> pathlib.Path:
    """Checks that what is written to a path harms nothing else.

    A file that is written takes the place of what is there: root would lose
    `/dev/null`.

    Args:
        path: of a file or folder, which need not be there.

    Returns:
        The same as a `pathlib.Path`.

    Raises:
        UserError: if a device, a pipe or a socket is there, or a link to one.
    """
    path = pathlib.Path(path)
    try:
        mode = path.stat().st_mode
    except OSError:
        # Nothing is there, or writing will say what is wrong.
        return path
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(
            f"{path} is {_kind(mode)}. Results go to files and folders only: "
            "name another path."
        )
    return path


@contextlib.contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Lets one process at a time go on; the others wait.

    The lock goes with the process, also when it is killed.

    Args:
        path: the lock's file, made where it is missing.
    """
    with open(check_output(path), "w") as handle:
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
    with open(check_output(path), "w") as handle:
        if not _take(handle):
            raise refusal
        yield


@contextlib.contextmanager
def _temporary(path):
    """Yields a path beside another; whatever happens, nothing stays there."""
    # The suffix stays last: savers choose the format by it.
    temporary = path.with_name(f".writing-{path.name}")
    _remove(temporary)
    try:
        yield temporary
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise UserError(
            f"{path} cannot be written ({reason}). What was there before is "
            "whole. Make room, or name another place, and repeat the command."
        ) from error
    finally:
        _remove(temporary)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sync(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _kind(mode):
    kinds = {
        stat.S_ISFIFO: "a pipe",
        stat.S_ISSOCK: "a socket",
    }
    found = [text for is_kind, text in kinds.items() if is_kind(mode)]
    return found[0] if found else "a device"


def _take(handle):
    """Takes a lock if no other process holds it, and returns whether."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
