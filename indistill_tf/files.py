"""Writing files that are whole or not there."""

import contextlib
import os
import pathlib


@contextlib.contextmanager
def replacing(path):
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
