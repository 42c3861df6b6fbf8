"""Checkpoints as folders: whole or not there, known by their checksums."""

import contextlib
import dataclasses
import logging
import pathlib
import re
import shutil
from collections.abc import Iterator

from indistill_tf import checksums
from indistill_tf.files import replacing_folder
from indistill_tf.hints import Path

logger = logging.getLogger("indistill_tf")

FOLDER = "checkpoint"
WEIGHTS = "model.weights.h5"
# The one before the last is there for when the last is damaged.
_KEPT = 2
_NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?(?:\.weights\.h5)?")


@dataclasses.dataclass(frozen=True, order=True)
class Position:
    """How far a training has come.

    Attributes:
        epoch: int, the epochs that are finished.
        step: int, the steps of the next one that are. Defaults to 0.
    """

    epoch: int
    step: int = 0

    def __str__(self) -> str:
        step = f", step {self.step + 1}" if self.step else ""
        return f"epoch {self.epoch + 1}{step}"

    @property
    def name(self) -> str:
        """What the folder of its checkpoint is called."""
        return f"epoch_{self.epoch}" + f"_step_{self.step}" * bool(self.step)


def found(folder: Path) -> dict[Position, pathlib.Path]:
    """Returns the checkpoints of a training, the last one first.

    Args:
        folder: the training's.
    """
    there = {
        Position(int(match[1]), int(match[2] or 0)): path
        for path in (pathlib.Path(folder) / FOLDER).glob("*")
        if (match := _NAME.fullmatch(path.name))
    }
    return dict(sorted(there.items(), reverse=True))


def whole(folder: Path) -> dict[Position, pathlib.Path]:
    """Returns the checkpoints that are as they were written.

    A damaged one is named in the log.

    Args:
        folder: the training's.
    """
    there = found(folder)
    damaged = [at for at, path in there.items() if not _is_whole(path)]
    for at in damaged:
        logger.warning("%s is damaged and passed over", there.pop(at))
    return there


@contextlib.contextmanager
def writing(folder: Path, position: Position) -> Iterator[pathlib.Path]:
    """Yields a folder that becomes the last checkpoint on success.

    The last two are kept.

    Args:
        folder: the training's.
        position: `Position`.

    Raises:
        UserError: if it cannot be written.
    """
    checkpoints = pathlib.Path(folder) / FOLDER
    checkpoints.mkdir(parents=True, exist_ok=True)
    with replacing_folder(checkpoints / position.name) as temporary:
        yield temporary
        checksums.write_sums(temporary)
    # Damaged ones may lie beyond it.
    older = [path for at, path in found(folder).items() if at < position]
    for path in older[_KEPT - 1 :]:
        _remove(path)


def remove(folder: Path) -> None:
    """Deletes the checkpoints of a finished training.

    Args:
        folder: the training's.
    """
    for path in found(folder).values():
        _remove(path)
    checkpoints = pathlib.Path(folder) / FOLDER
    if checkpoints.exists():
        shutil.rmtree(checkpoints)


def _is_whole(path):
    # Files of earlier versions have no checksum.
    return path.is_file() or checksums.is_whole(path)


def _remove(path):
    if path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)
