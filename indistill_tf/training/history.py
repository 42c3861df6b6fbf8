"""`history.csv`: what each epoch of a training logged."""

import csv
import pathlib

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.files import replacing
from indistill_tf.hints import Path

NAME = "history.csv"


def write_history(folder: Path, rows: list[dict]) -> None:
    """Writes `history.csv`: one row an epoch, blank where nothing was logged.

    Args:
        folder: where it goes.
        rows: list of dicts of numbers.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(pathlib.Path(folder) / NAME) as temporary:
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


def copy_history(source: Path, folder: Path) -> None:
    """Copies `history.csv`, to the byte.

    Args:
        source: where it lies.
        folder: where it goes.
    """
    with replacing(pathlib.Path(folder) / NAME) as temporary:
        temporary.write_bytes((pathlib.Path(source) / NAME).read_bytes())


def read_history(folder: Path) -> list[dict]:
    """Reads `history.csv`.

    Args:
        folder: where it lies.

    Returns:
        List of dicts of numbers, without the blanks; empty without a file.

    Raises:
        UserError: if the file is damaged.
    """
    path = pathlib.Path(folder) / NAME
    if not path.exists():
        return []
    try:
        with open(path, newline="") as file:
            return [_numbers(row) for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path} is damaged ({first_line(error)}). Put back a copy of it, "
            f"or remove {folder} to train this network again."
        ) from error


def _numbers(row):
    return {
        "epoch": int(row["epoch"]),
        **{
            name: float(value)
            for name, value in row.items()
            if value and name != "epoch"
        },
    }
