"""The seeds of a method: found by their names, averaged, tested."""

import dataclasses
import math
import pathlib
import re
import statistics
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from indistill_tf.errors import UserError

_SEED = re.compile(r"_seed(\d+)$")


@dataclasses.dataclass(frozen=True)
class Group:
    """The runs of one method.

    Attributes:
        name: string, the folders' name without its `_seed<number>`.
        scores: dict from seed, or None where a name has none, to a dict of
            scores, see `report.scores`.
    """

    name: str
    scores: dict

    def values(self, score: str) -> list[float]:
        """Returns one score of all seeds that have it.

        Args:
            score: string, its name.
        """
        return list(self.of_seeds(score).values())

    def of_seeds(self, score: str) -> dict[int | None, float]:
        """Returns one score by the seeds that have it.

        Args:
            score: string, its name.
        """
        return {
            seed: found[score]
            for seed, found in self.scores.items()
            if score in found
        }

    def mean(self, score: str) -> float:
        """Returns the mean of a score over the seeds.

        Args:
            score: string, its name.
        """
        return statistics.mean(self.values(score))

    def deviation(self, score: str) -> float | None:
        """Returns the standard deviation of a score, of a sample.

        Args:
            score: string, its name.

        Returns:
            Float, or None of one seed.
        """
        values = self.values(score)
        return statistics.stdev(values) if len(values) > 1 else None


def grouped(paths: Iterable[str]) -> dict[str, dict[int | None, str]]:
    """Returns folders by method and seed, in the order in which they come.

    Args:
        paths: folders whose names end in `_seed<number>`, or have no seed.

    Returns:
        Dict from a name without its seed to a dict from seed, or None, to path.

    Raises:
        UserError: if two have one name.
    """
    groups = {}
    for path in paths:
        name = pathlib.Path(path).name
        seed = _SEED.search(name)
        group = groups.setdefault(_SEED.sub("", name), {})
        seed = seed and int(seed[1])
        if seed in group:
            raise UserError(
                f"Two runs have the name {name!r}, one of them {path}. Compare "
                "them under names of their own."
            )
        group[seed] = path
    return groups


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns how probable differences as large are where there are none.

    The two-sided paired t-test. For whole degrees of freedom Student's
    distribution is a finite sum.

    Args:
        first: floats, one a seed.
        second: floats of the same seeds.

    Returns:
        Float from 0 to 1.

    References:
        - Abramowitz and Stegun, 1964, Handbook of Mathematical Functions,
          eq. 26.7.3 and 26.7.4
    """
    differences = np.subtract(first, second)
    mean, deviation = differences.mean(), differences.std(ddof=1)
    if deviation == 0:
        return float(mean == 0)
    freedom = len(differences) - 1
    t = abs(mean) / (deviation / math.sqrt(len(differences)))
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    # Each term is the one before times cos^2 and n / (n + 1).
    steps = np.arange(1 + odd, freedom - 1, 2)
    factors = steps / (steps + 1) * math.cos(angle) ** 2
    terms = np.cumprod([math.cos(angle) if odd else 1.0, *factors])
    within = math.sin(angle) * terms.sum() if freedom > 1 else 0.0
    if odd:
        within = 2 / math.pi * (angle + within)
    return max(0.0, 1.0 - float(within))
