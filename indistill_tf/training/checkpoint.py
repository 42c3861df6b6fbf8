"""A checkpoint after each epoch, from which a run goes on bit for bit."""

import csv
import pathlib
import re
import time

import keras

from indistill_tf.distillation.schedules import NOT_COMPUTED
from indistill_tf.distribution import on_chief
from indistill_tf.errors import UserError
from indistill_tf.training.work_directory import replacing

_FOLDER = "checkpoint"
_NAME = re.compile(r"epoch_(\d+)\.weights\.h5")


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizer and history after each epoch, atomically.

    Keras' `BackupAndRestore` writes two files one after the other; a process
    killed in between leaves a pair that does not match. Here one rename makes
    an epoch's checkpoint valid, and its name carries the epoch.

    Args:
        folder: the hop's folder; `checkpoint/` and `history.csv` go there.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.checkpoints = self.folder / _FOLDER
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.rows = []

    def restore(self, model):
        """Brings a model to the state of the last finished epoch.

        Args:
            model: built and compiled model with a built optimizer.

        Returns:
            The epoch to go on with, counted from 0.

        Raises:
            UserError: if the checkpoint cannot be read.
        """
        files = _files(self.checkpoints)
        if not files:
            return 0
        epoch = max(files)
        try:
            model.load_weights(files[epoch])
            rows = read_history(self.folder)
        except Exception as error:
            raise UserError(
                f"The checkpoint {files[epoch]} or the history beside it is "
                f"damaged ({error}). Remove {self.folder} to train this "
                "network again."
            ) from error
        self.rows = [row for row in rows if row["epoch"] < epoch]
        return epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._start
        computed = {
            name: value
            for name, value in (logs or {}).items()
            if value is not NOT_COMPUTED
        }
        self.rows.append({"epoch": epoch, "seconds": seconds, **computed})
        # Outside the strategy: to save weights Keras makes an optimizer.
        on_chief(lambda: self._save(epoch))

    def _save(self, epoch):
        older = _files(self.checkpoints).values()
        write_history(self.folder, self.rows)
        name = f"epoch_{epoch + 1}.weights.h5"
        with replacing(self.checkpoints / name) as temporary:
            self.model.save_weights(temporary)
        for path in older:
            path.unlink()


def remove(folder):
    """Deletes the checkpoints of a finished training.

    Args:
        folder: see `Checkpoint`.
    """
    checkpoints = pathlib.Path(folder) / _FOLDER
    for path in _files(checkpoints).values():
        path.unlink()
    if checkpoints.exists():
        checkpoints.rmdir()


def _files(checkpoints):
    """Returns the checkpoints by the number of finished epochs."""
    return {
        int(match[1]): path
        for path in checkpoints.glob("*")
        if (match := _NAME.fullmatch(path.name))
    }


def write_history(folder, rows):
    """Writes `history.csv`: one row an epoch, blank where nothing was logged.

    Args:
        folder: the hop's folder.
        rows: list of dicts of numbers.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(pathlib.Path(folder) / "history.csv") as temporary:
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


def read_history(folder):
    """Reads `history.csv`.

    Args:
        folder: the hop's folder.

    Returns:
        List of dicts of numbers, without the blanks.
    """
    path = pathlib.Path(folder) / "history.csv"
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [
            {
                name: int(value) if name == "epoch" else float(value)
                for name, value in row.items()
                if value
            }
            for row in csv.DictReader(file)
        ]
