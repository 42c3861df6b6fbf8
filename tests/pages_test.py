"""Scores on the pages are those of records in docs/results."""

import csv
import json
import pathlib
import re
import statistics

import pytest

ROOT = pathlib.Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Scores have two decimals or more; counts of epochs and seconds fewer.
MEAN = r"\d+\.\d{2,4} ± \d+\.\d{2,4}"
# mAP / P@100.
PAIR = r"(?<!± )\b\d\d\.\d\d / \d\d\.\d\d\b(?! ±)"
# Accuracy, mAP and P@100, in cells of a table; accuracy is first or last.
THREE = r"(?<=\| )\d\d\.\d\d \| \d\d\.\d\d \| \d\d\.\d\d(?= \|)"


def leaves(value, place=()):
    """Yields each number in nested dicts, with its place."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*place, key))
    elif isinstance(value, int | float):
        yield place, value


def runs():
    """Yields the scores of each run or rung, with its name but for the seed."""
    for path in sorted(RECORDS.rglob("*.json")):
        name = re.sub(r"seed\d+", "seed", str(path.relative_to(RECORDS)))
        if path.name == "result.json":
            yield name, dict(leaves(json.loads(path.read_text())["scores"]))
        if path.name == "ladder.json":
            rungs = json.loads(path.read_text())["rungs"]
            for rung, scores in rungs.items():
                yield f"{name}/{rung}", dict(leaves(scores))


@pytest.fixture(scope="module")
def known():
    """Every score that a page may show, as text."""
    found = papers()
    groups = {}
    for name, scores in runs():
        found |= pairs_and_threes(scores)
        if "seed" in name:
            groups.setdefault(name, []).append(scores)
    for group in groups.values():
        for score in group[0]:
            values = [scores[score] for scores in group if score in scores]
            if len(values) > 1:
                found |= mean_and_deviation(values)
        shared = set.intersection(*map(set, group))
        found |= pairs_and_threes(
            {x: statistics.mean(each[x] for each in group) for x in shared}
        )
    return found


def papers():
    files = (ROOT / "flags" / "papers").glob("*retrieval.csv")
    lines = [line for path in files for line in path.read_text().splitlines()]
    return {" / ".join(numbers) for _, *numbers in csv.reader(lines)}


def mean_and_deviation(values):
    found = statistics.mean(values), statistics.stdev(values)
    return {
        " ± ".join(f"{100 * x:.2f}" for x in found),
        " ± ".join(f"{x:.4f}" for x in found),
    }


def pairs_and_threes(scores):
    found = set()
    for *place, score in scores:
        ranks = [x[-1] for x in scores if list(x[:-1]) == place]
        ranks = [x for x in ranks if x.startswith("p@")]
        if score == "map":
            precision = max(ranks, key=lambda x: int(x.removeprefix("p@")))
            names = (*place, "map"), (*place, precision)
            pair = [f"{100 * scores[name]:.2f}" for name in names]
            accuracy = f"{100 * scores['accuracy',]:.2f}"
            rows = [accuracy, *pair], [*pair, accuracy]
            found |= {" / ".join(pair), *map(" | ".join, rows)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
@pytest.mark.parametrize("pattern", [MEAN, PAIR], ids=["mean", "pair"])
def test_scores_are_of_records(page, pattern, known):
    text = page.read_text().replace("*", "")
    assert not [x for x in re.findall(pattern, text) if x not in known]


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_rows_are_of_records(page, known):
    text = (ROOT / page).read_text().replace("*", "")
    found = re.findall(THREE, text)
    assert found
    assert not [x for x in found if x not in known]


def test_others_are_not():
    values = [0.58822, 0.58802, 0.58783]
    assert "58.80 ± 0.02" in mean_and_deviation(values)
    assert "58.80 ± 0.03" not in mean_and_deviation(values)
    scores = {("accuracy",): 0.9, ("a", "map"): 0.5, ("a", "p@9"): 0.6}
    scores |= {("a", "p@100"): 0.7, ("b", "p@100"): 0.8}
    found = {"50.00 / 70.00", "90.00 | 50.00 | 70.00", "50.00 | 70.00 | 90.00"}
    assert pairs_and_threes(scores) == found
