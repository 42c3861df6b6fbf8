"""What the records hold of the networks that a page shows."""

import dataclasses
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from indistill_tf.evaluation import DETAILS_FILE
from indistill_tf.evaluation import Details
from indistill_tf.hints import Path
from indistill_tf.training import flag_record
from indistill_tf.training import promises
from indistill_tf.training import report
from indistill_tf.training.history import read_history
from indistill_tf.training.ladder import reporting


@dataclasses.dataclass(frozen=True)
class Run:
    """The record of one training.

    Attributes:
        folder: `pathlib.Path`.
        result: dict, of `result.json`.
        history: list of dicts, an epoch each; empty without `history.csv`.
        flags: string, of `flags.txt`; empty without.
        details: `Details`, of `evaluation.npz`, or None without.
        ladder: dict, of `compress/ladder.json`, or None without.
    """

    folder: pathlib.Path
    result: dict
    history: list
    flags: str
    details: Details | None
    ladder: dict | None


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of the page: one run, or one method over its seeds.

    Attributes:
        name: string.
        runs: tuple of `Run`, of which the first one's pictures are shown.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run whose pictures are shown."""
        return self.runs[0]

    def scores(self, score: str, measured: tuple) -> list[float]:
        """Returns one score of all runs that have it.

        Args:
            score: string, see `report.scores`.
            measured: tuple of its other arguments.
        """
        found = (report.scores(run.result, *measured) for run in self.runs)
        return [scores[score] for scores in found if score in scores]

    def costs(self, name: str) -> list[float]:
        """Returns one cost of all runs, such as `"parameters"`.

        Args:
            name: string, in the scores of a result.
        """
        return [run.result["scores"][name] for run in self.runs]

    def over_epochs(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the epochs at which all runs logged a number, and the number.

        Args:
            name: string, a column of `history.csv`.

        Returns:
            Tuple of ints `[E]`, counted from 1, and floats `[runs, E]`.
        """
        columns = [
            {row["epoch"] + 1: row[name] for row in run.history if name in row}
            for run in self.runs
        ]
        epochs = sorted(set.intersection(*map(set, columns)))
        values = [[column[epoch] for epoch in epochs] for column in columns]
        return np.array(epochs, int), np.array(values)


def read(folders: Mapping[str, Sequence[Path]]) -> list[Network]:
    """Reads the records of networks.

    Args:
        folders: dict from the name of a network to the folders of its runs.

    Returns:
        List of `Network`.

    Raises:
        UserError: if a `result.json` is missing or damaged.
    """
    return [
        Network(name, tuple(_run(pathlib.Path(path)) for path in paths))
        for name, paths in folders.items()
    ]


def _run(folder):
    details = folder / DETAILS_FILE
    return Run(
        folder,
        promises.read(folder / promises.RECORD),
        read_history(folder),
        flag_record.read(folder),
        Details.read(details) if details.exists() else None,
        reporting.read(folder / reporting.FOLDER),
    )
