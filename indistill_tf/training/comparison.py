"""Methods compared over seeds, beside the numbers of a paper, in Markdown."""

import csv
import dataclasses
import math
import pathlib
import re
import statistics
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from indistill_tf import tables
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.hints import Path
from indistill_tf.training import report

# Fewer seeds say nothing of how differences are spread.
_SEEDS_OF_A_TEST = 5
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
        """Returns one score of all seeds.

        Args:
            score: string, its name.
        """
        return [found[score] for found in self.scores.values()]

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


def comparison(
    results: Mapping[str, dict],
    metric: str = "cosine",
    protocol: str = "standard",
    rank: int | None = None,
    papers: Mapping[str, Mapping[str, float]] | None = None,
    reference: str | None = None,
) -> str:
    """Returns a table of each score with a row for the seeds of each method.

    Args:
        results: dict from names that end in `_seed<number>` to result dicts.
        metric: of retrieval. Defaults to `"cosine"`.
        protocol: of retrieval. Defaults to `"standard"`.
        rank: int, the k of precision at k. Defaults to the largest measured.
        papers: dict from a method to a paper's scores, see `read_papers`;
            these scores alone are shown, and its methods first, in its order.
            Defaults to None: all scores, and no paper.
        reference: the method that the others are compared with. Defaults to
            None: none.

    Returns:
        Markdown.

    Raises:
        UserError: if the reference or a score is not there, two runs have one
            name, or runs were measured on other images.
    """
    groups = _groups(results, metric, protocol, rank)
    if papers is not None:
        order = [*papers, *(group.name for group in groups)]
        groups.sort(key=lambda group: order.index(group.name))
    known = next(iter(groups[0].scores.values()))
    if reference is not None:
        names = {group.name: group for group in groups}
        if reference not in names:
            raise unknown_name("reference", reference, names)
        reference = names[reference]
    shown = list(known)
    if papers is not None:
        shown = list(dict.fromkeys(x for row in papers.values() for x in row))
    for score in shown:
        if score not in known:
            raise unknown_name("score", score, known)
    parts = [_table(score, groups, papers, reference) for score in shown]
    caption = report.caption(results, metric, protocol)
    return "\n\n".join([*parts, f"{caption} {_legend(papers, reference)}"])


def read_papers(path: Path) -> dict[str, dict[str, float]]:
    """Reads a paper's numbers: CSV with a row a method, `#` for comments.

    Args:
        path: the file. Its first column holds the methods' names, the others
            the scores that their titles name, blank where there is none.

    Returns:
        Dict from method to a dict from score to number.

    Raises:
        UserError: if there is something else in the file.
    """
    lines = pathlib.Path(path).read_text().splitlines()
    rows = csv.reader(line for line in lines if line and line[0] != "#")
    try:
        _, *scores = next(rows)
        return {
            name: {
                score: float(text)
                for score, text in zip(scores, texts, strict=True)
                if text
            }
            for name, *texts in rows
        }
    except (StopIteration, ValueError) as error:
        raise UserError(
            f"{path}: expected a line of titles, and lines of a method and a "
            f"number, or nothing, for each score ({error})."
        ) from None


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


def _groups(results, metric, protocol, rank):
    """Returns the groups of runs, in the order in which they come."""
    _check_images(results)
    groups = {}
    for path, result in results.items():
        name = pathlib.Path(path).name
        seed = _SEED.search(name)
        group = groups.setdefault(_SEED.sub("", name), {})
        seed = seed and int(seed[1])
        if seed in group:
            raise UserError(
                f"Two runs have the name {name!r}, one of them {path}. Compare "
                "them under names of their own."
            )
        group[seed] = report.scores(result, metric, protocol, rank)
    return [Group(name, scores) for name, scores in groups.items()]


def _check_images(results):
    measured = {
        path: [result["images"][x] for x in ("name", "train", "test")]
        for path, result in results.items()
    }
    first, *others = measured
    for path in others:
        if measured[path] != measured[first]:
            raise UserError(
                "Runs on other images cannot be compared. Received: "
                f"{first} on {measured[first]}, {path} on {measured[path]} "
                "(name, training images, test images)."
            )


def _table(score, groups, papers, reference):
    rows = []
    for group in groups:
        row = {score: group.name, "n": str(len(group.scores))}
        row["here"] = _mean_and_deviation(group, score)
        if papers is not None:
            row |= _beside_paper(group, score, papers)
        if reference is not None:
            row |= _beside_reference(group, score, reference)
        rows.append(row)
    return tables.markdown([list(rows[0]), *(list(x.values()) for x in rows)])


def _mean_and_deviation(group, score):
    mean, deviation = group.mean(score), group.deviation(score)
    return f"{mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def _beside_paper(group, score, papers):
    number = papers.get(group.name, {}).get(score)
    if number is None:
        return {"paper": "", "difference to paper": ""}
    return {
        "paper": f"{number:.2f}",
        "difference to paper": f"{group.mean(score) - number:+.2f}",
    }


def _beside_reference(group, score, reference):
    titles = f"difference to {reference.name}", "p"
    if group is reference:
        return dict.fromkeys(titles, "")
    difference = group.mean(score) - reference.mean(score)
    deviations = [each.deviation(score) for each in (group, reference)]
    clear = None not in deviations and abs(difference) > sum(deviations)
    both = sorted(group.scores.keys() & reference.scores.keys() - {None})
    p = ""
    if len(both) >= _SEEDS_OF_A_TEST:
        pairs = [
            [x.scores[seed][score] for seed in both] for x in (group, reference)
        ]
        p = f"{paired_t_test(*pairs):.4f}"
    return dict(zip(titles, (f"{difference:+.2f}{' *' * clear}", p)))


def _legend(papers, reference):
    texts = ["Mean ± standard deviation over n seeds (of a sample)."]
    if papers is not None:
        texts.append("The paper's numbers are its own; it gives no deviation.")
    if reference is not None:
        texts.append(
            "*: a difference above both deviations together. p: paired t-test "
            f"over the seeds in common, from {_SEEDS_OF_A_TEST} on."
        )
    return " ".join(texts)
