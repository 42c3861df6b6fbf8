"""How fast networks learn: mAP of the validation split over the epochs."""

from collections.abc import Sequence

import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.training.page import plots
from indistill_tf.training.page.networks import Network

# A column of `history.csv`, how an axis calls it, and what a unit is worth.
MAP = "val_map", "mAP, %", 100.0

EVALUATE = (
    "Train with validation_split=train[90%:], train_split=train[:90%] and "
    "evaluate_every=5 to record it."
)


def curves(networks: Sequence[Network]) -> str:
    """Returns mAP over the epochs as an SVG file.

    Several seeds are their mean, in a band of one standard deviation.

    Args:
        networks: list of `Network`, see `read`.

    Raises:
        UserError: if a network's `history.csv` has no mAP.
    """
    _check(networks)
    svg = plots.curves(networks, *MAP)
    return svg.replace(
        "<svg",
        '<svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink"',
        1,
    )


def reached(networks: Sequence[Network], percent: float) -> list[list[str]]:
    """Returns after how many epochs each network has a score, as a table.

    Args:
        networks: list of `Network`, see `read`.
        percent: float, the mAP of the validation split, in percent.

    Returns:
        List of rows of cells, titles first: name, number of runs, number of
        those that reach the score, and mean ± standard deviation of a sample
        of the epochs at which these are first seen to have it.

    Raises:
        UserError: if a network's `history.csv` has no mAP.
    """
    _check(networks)
    rows = [["", "n", "reach it", f"epochs to {percent:g} % mAP"]]
    for network in networks:
        epochs, values = network.over_epochs(MAP[0])
        above = values * MAP[2] >= percent
        first = [epochs[run.argmax()] for run in above if run.any()]
        rows.append(
            [network.name, str(len(values)), str(len(first)), _mean(first)]
        )
    return rows


def _mean(numbers):
    if not numbers:
        return ""
    text = f"{np.mean(numbers):.1f}"
    if len(numbers) > 1:
        text += f" ± {np.std(numbers, ddof=1):.1f}"
    return text


def _check(networks):
    for network in networks:
        if not len(network.over_epochs(MAP[0])[0]):
            raise UserError(
                f"{network.name} logged no mAP of the validation split. "
                f"{EVALUATE}"
            )
