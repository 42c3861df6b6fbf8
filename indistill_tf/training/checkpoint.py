"""Checkpoints, from which a training goes on bit for bit."""

import json
import pathlib
import time

import keras

from indistill_tf import files
from indistill_tf.distillation.schedules import NOT_COMPUTED
from indistill_tf.distribution import on_chief
from indistill_tf.distribution import replicas
from indistill_tf.distribution import taking_mean
from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.finite import weights_out_of_range
from indistill_tf.hints import Path
from indistill_tf.training import snapshots
from indistill_tf.training.history import copy_history
from indistill_tf.training.history import read_history
from indistill_tf.training.history import write_history
from indistill_tf.training.interruption import Interrupted
from indistill_tf.training.interruption import Pending
from indistill_tf.training.snapshots import Position

_STATE = "state.json"
# What HDF5 adds to each variable, rounded up, and to them all.
_BYTES_A_VARIABLE = 2**14
_BYTES_A_FILE = 2**20


class Checkpoint(keras.callbacks.Callback):
    """Saves all that a training needs to go on, in one step.

    A checkpoint is a folder that is renamed when it is whole: weights, with
    those of the losses, the optimizer's and the random generators';
    the history; and of an epoch that is not finished its metrics. `SHA256SUMS`
    tells whether a bit of it has changed. The last two are kept.

    Keras' `BackupAndRestore` writes two files one after the other; a process
    killed in between leaves a pair that does not match.

    It must come after callbacks that change the optimizer as an epoch begins.

    Args:
        folder: the hop's folder; `checkpoint/` and `history.csv` go there.
        every: int, steps from one checkpoint within an epoch to the next.
            Defaults to None: one after each epoch.

    Attributes:
        rows: list of dicts of numbers, the history.
        restored: list of strings, why training went back to a checkpoint.
        pending: `Pending`, a signal at which training is saved and ends.
    """

    def __init__(self, folder: Path, every: int | None = None):
        super().__init__()
        self.folder, self.every = pathlib.Path(folder), every
        self.rows, self.restored = [], []
        self.pending = Pending()
        # What the epoch in which training goes on begins with.
        self._begun, self._state = Position(0), {}
        self._take_mean = None

    def restore(self, model: keras.Model) -> Position:
        """Brings a model to the state of the last checkpoint that is whole.

        A damaged one is named, and the one before it taken.

        Args:
            model: built and compiled model with a built optimizer.

        Returns:
            `Position` to go on at.

        Raises:
            UserError: if there are checkpoints and none can be read.
        """
        there = snapshots.whole(self.folder)
        if not there:
            self._refuse_damaged()
            return Position(0)
        position, path = next(iter(there.items()))
        try:
            self._read(model, path)
        except Exception as error:
            raise UserError(
                f"The checkpoint {path} does not fit or is damaged "
                f"({first_line(error)}). {self._advice}"
            ) from error
        self.rows = [row for row in self.rows if row["epoch"] < position.epoch]
        if path.is_dir():
            # What lies beside it may be of a later epoch, or damaged.
            on_chief(lambda: copy_history(path, self.folder))
        self._begun = position
        return position

    def save(self, model: keras.Model, position: Position) -> None:
        """Saves a model and the history.

        Args:
            model: as of `restore`.
            position: `Position` that it is at.

        Raises:
            UserError: if it cannot be written.
        """
        state = {"restored": self.restored}
        if position.step:
            state["seconds"] = time.perf_counter() - self._start
            state["metrics"] = [
                variable.numpy().tolist()
                for variable in model.metrics_variables
            ]
        # Outside the strategy: to save weights Keras makes an optimizer.
        on_chief(lambda: self._write(model, position, state))

    def _write(self, model, position, state):
        with snapshots.writing(self.folder, position) as folder:
            files.reserve(folder / snapshots.WEIGHTS, _most_bytes(model))
            model.save_weights(folder / snapshots.WEIGHTS)
            write_history(folder, self.rows)
            (folder / _STATE).write_text(json.dumps(state))
        write_history(self.folder, self.rows)

    def on_train_begin(self, logs: dict | None = None) -> None:
        # Within an epoch moving statistics are each replica's, and the chief
        # would save its own alone.
        if replicas() > 1:
            self._take_mean = taking_mean(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch, self._start = epoch, time.perf_counter()
        if epoch != self._begun.epoch:
            self._begun = Position(epoch)
        self._last_saved = self._begun.step
        if self._begun.step:
            self._enter_epoch()

    def on_train_batch_begin(
        self, batch: int, logs: dict | None = None
    ) -> None:
        # Not as a batch ends: other hooks then run beside the training.
        done = self._begun.step + batch
        number = self.pending.anywhere()
        if batch and (number or self._is_due(done)):
            self._save_within_epoch(done)
        if number:
            raise Interrupted(number)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = time.perf_counter() - self._start
        computed = {
            name: value
            for name, value in (logs or {}).items()
            if value is not NOT_COMPUTED
        }
        self.rows.append({"epoch": epoch, "seconds": seconds, **computed})
        self.save(self.model, Position(epoch + 1))

    def on_train_end(self, logs: dict | None = None) -> None:
        number = self.pending.anywhere(now=True)
        if number:
            raise Interrupted(number)

    def _is_due(self, done):
        if self.every is None:
            return False
        # Several steps are one call of the compiled function.
        return done // self.every > self._last_saved // self.every

    def _save_within_epoch(self, done):
        self._last_saved = done
        # Where they are not finite, `FiniteCheck` will say so.
        if not weights_out_of_range(self.model):
            if self._take_mean:
                self._take_mean()
            self.save(self.model, Position(self._epoch, done))

    def _enter_epoch(self):
        """Restores what the beginning of an epoch has just set anew."""
        path = self.folder / snapshots.FOLDER / self._begun.name
        # The rate is the epoch's, which may be another than before.
        rates = [
            (variable, variable.numpy())
            for variable in self.model.optimizer.variables
            if variable.name == "learning_rate"
        ]
        self._read(self.model, path)
        for variable, rate in rates:
            variable.assign(rate)
        self._start -= self._state["seconds"]
        values = self._state["metrics"]
        if len(values) > len(self.model.metrics_variables):
            # The first step would make them.
            self.model.build_metrics(keras.KerasTensor((None,), "int32"))
        variables = self.model.metrics_variables
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def _read(self, model, path):
        if path.is_file():
            # Of an earlier version: the weights alone.
            model.load_weights(path)
            self.rows = read_history(self.folder)
            return
        model.load_weights(path / snapshots.WEIGHTS)
        self.rows = read_history(path)
        self._state = json.loads((path / _STATE).read_text())
        # What was noted since then stays.
        known = self._state["restored"]
        self.restored = max(self.restored, known, key=len)

    def _refuse_damaged(self):
        damaged = snapshots.found(self.folder)
        if damaged:
            raise UserError(
                f"No checkpoint in {self.folder / snapshots.FOLDER} is whole. "
                f"{self._advice}"
            )

    @property
    def _advice(self):
        return f"Remove {self.folder} to train this network again."


def _most_bytes(model):
    """Returns what the weights and the optimizer may take in a file."""
    variables = [*model.variables, *model.optimizer.variables]
    content = sum(
        keras.ops.convert_to_numpy(variable).nbytes for variable in variables
    )
    return content + _BYTES_A_VARIABLE * len(variables) + _BYTES_A_FILE
