"""One command's run: locked, remembered, reported, exported."""

import contextlib
import logging
import pathlib
import shutil
from collections.abc import Callable
from collections.abc import Iterator

from indistill_tf import distribution
from indistill_tf.errors import UserError
from indistill_tf.hints import Path
from indistill_tf.training import flag_record
from indistill_tf.training import promises
from indistill_tf.training import report
from indistill_tf.training import work_directory
from indistill_tf.training.exports import export_run
from indistill_tf.training.snapshots import remove

logger = logging.getLogger("indistill_tf")


def recorded_run(
    folder: Path,
    flags_text: str,
    job: Callable[[pathlib.Path], dict[str, dict]],
    default_flags: str = "",
) -> tuple[str, pathlib.Path]:
    """Runs a job in a work directory and leaves its record there.

    The record lists the checksums of what the run leaves. Of a finished run
    they are looked at, and what can be made again is.

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
            a run with other flags, or what cannot be made again is damaged.
    """
    with opened(folder, flags_text, default_flags) as folder:
        results = job(folder)
        distribution.on_chief(lambda: _make_what_is_missing(folder))
    return report.table(results), folder / "saved_model"


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
    if left <= {".lock", flag_record.NAME, "log.txt", "logs", "checkpoint"}:
        if not any((folder / "checkpoint").glob("*")):
            shutil.rmtree(folder / "logs", ignore_errors=True)
            remove(folder)
            (folder / flag_record.NAME).unlink()


@contextlib.contextmanager
def _remembered(folder, flags_text, default_flags):
    _remember(folder, flags_text, default_flags)
    try:
        yield
    except UserError:
        _forget_if_empty(folder)
        raise


def _remember(folder, flags_text, default_flags):
    path = folder / flag_record.NAME
    if not path.exists():
        flag_record.write(folder, flags_text)
        return
    changes = flag_record.changes(path, flags_text, default_flags)
    if changes:
        raise UserError(
            f"{folder} holds a run with other flags ({' '.join(changes)}; - "
            "there, + now). Repeat its command to resume it, or name another "
            "work directory."
        )


# What a run's networks and history are made into, by its name.
_MADE = {"loss.png": report.plot_losses, "saved_model": export_run}


def _make_what_is_missing(folder):
    """Makes what is made of a run's results, where it is not as it was."""
    path = folder / promises.RECORD
    result = promises.read(path)
    missing = [
        name for name in _MADE if not promises.is_kept(folder, result, name)
    ]
    for name in missing:
        if promises.listed(result, name):
            logger.warning(
                "%s is gone or damaged, and is made again", folder / name
            )
        _MADE[name](folder, folder / name)
    if missing:
        promises.write(path, result, missing)
    else:
        logger.info("%s is finished; nothing is left to do.", folder)
