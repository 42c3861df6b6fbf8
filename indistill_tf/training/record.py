"""One command's run: locked, remembered, reported, exported."""

import contextlib
import difflib
import logging
import pathlib
import shutil
from collections.abc import Callable
from collections.abc import Iterator

from indistill_tf import distribution
from indistill_tf.errors import UserError
from indistill_tf.hints import Path
from indistill_tf.training import report
from indistill_tf.training import work_directory
from indistill_tf.training.checkpoint import remove
from indistill_tf.training.exports import export_run

logger = logging.getLogger("indistill_tf")


def recorded_run(
    folder: Path,
    flags_text: str,
    job: Callable[[pathlib.Path], dict[str, dict]],
    default_flags: str = "",
) -> tuple[str, pathlib.Path]:
    """Runs a job in a work directory and leaves its record there.

    Args:
        folder: the work directory.
        flags_text: string, a flag a line; kept as `flags.txt`.
        job: function from the directory to a dict from role to result dict;
            its `student` is the product.
        default_flags: see `opened`.

    Returns:
        Tuple of the results' table, as text, and the SavedModel's path.

    Raises:
        UserError: if the directory is in use, cannot be written or belongs to
            a run with other flags.
    """
    with opened(folder, flags_text, default_flags) as folder:
        saved_model = folder / "saved_model"
        finished = saved_model.exists()
        if finished:
            logger.info("%s is finished; nothing is left to do.", folder)
        results = job(folder)
        if not finished:
            distribution.on_chief(lambda: _publish(folder, saved_model))
    return report.table(results), saved_model


def _publish(folder, saved_model):
    report.plot_losses(folder, folder / "loss.png")
    export_run(folder, saved_model)


@contextlib.contextmanager
def opened(
    folder: Path, flags_text: str, default_flags: str = ""
) -> Iterator[pathlib.Path]:
    """Locks a work directory for the run that these flags describe.

    Of several workers the chief does so for all.

    Args:
        folder: the work directory.
        flags_text: string, a flag a line; kept as `flags.txt`.
        default_flags: string, those lines of `flags_text` whose flags have
            their default values. The directory may lack these flags: a version
            that did not have them yet began the run. Defaults to `""`: none.

    Yields:
        The directory as a `pathlib.Path`.

    Raises:
        UserError: if the directory is in use, cannot be written or belongs to
            a run with other flags.
    """
    folder = pathlib.Path(folder)
    with contextlib.ExitStack() as stack:
        if distribution.is_chief():
            stack.enter_context(work_directory.locked(folder))
            stack.enter_context(_remembered(folder, flags_text, default_flags))
        distribution.barrier()
        yield folder


def _forget_if_empty(folder):
    """Lets a refused request be corrected in the same directory."""
    left = {path.name for path in folder.iterdir()}
    if left <= {".lock", "flags.txt", "log.txt", "logs", "checkpoint"}:
        if not any((folder / "checkpoint").glob("*")):
            shutil.rmtree(folder / "logs", ignore_errors=True)
            remove(folder)
            (folder / "flags.txt").unlink()


@contextlib.contextmanager
def _remembered(folder, flags_text, default_flags):
    _remember(folder, flags_text, default_flags)
    try:
        yield
    except UserError:
        _forget_if_empty(folder)
        raise


def _remember(folder, flags_text, default_flags):
    path = folder / "flags.txt"
    if not path.exists():
        with work_directory.replacing(path) as temporary:
            temporary.write_text(flags_text)
        return
    changes = changed_flags(path, flags_text, default_flags)
    if changes:
        raise UserError(
            f"{folder} holds a run with other flags ({' '.join(changes)}; - "
            "there, + now). Repeat its command to resume it, or name another "
            "work directory."
        )


def changed_flags(
    path: Path, flags_text: str, default_flags: str = ""
) -> list[str]:
    """Returns in what flags differ from those of a run that was begun before.

    Args:
        path: its `flags.txt`.
        flags_text: string, a flag a line.
        default_flags: see `opened`.

    Returns:
        List of lines, with `- ` before those of the file and `+ ` before new
        ones; empty if they are the same run's.
    """
    before = pathlib.Path(path).read_text().splitlines()
    known = set(map(_flag_name, before))
    defaults = default_flags.splitlines()
    now = [
        line
        for line in flags_text.splitlines()
        if _flag_name(line) in known or line not in defaults
    ]
    return [line for line in difflib.ndiff(before, now) if line[0] in "-+"]


def _flag_name(line):
    """Returns the same for `--flip` and `--noflip`."""
    name, equals, _ = line.removeprefix("--").partition("=")
    return name if equals else name.removeprefix("no")
