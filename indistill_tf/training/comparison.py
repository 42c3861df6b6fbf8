"""Methods compared over seeds, beside the numbers of a paper, in Markdown."""

import csv
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

from indistill_tf import tables
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.hints import Path
from indistill_tf.training import report
from indistill_tf.training import seeds

# Fewer seeds say nothing of how differences are spread.
_SEEDS_OF_A_TEST = 5


def comparison(
    results: Mapping[str, dict],
    metric: str = "cosine",
    protocol: str = "standard",
    rank: int | None = None,
    papers: Mapping[str, Mapping[str, float]] | None = None,
    reference: str | None = None,
    columns: Sequence[str] = (),
) -> str:
    """Returns a table of each score with a row for the seeds of each method.

    Args:
        results: dict from names that end in `_seed<number>` to result dicts.
        metric: of retrieval. Defaults to `"cosine"`.
        protocol: of retrieval. Defaults to `"standard"`.
        rank: int, the k of precision at k. Defaults to the largest measured.
        papers: dict from a method to a paper's scores, see `read_papers`; its
            methods come first, in its order. Defaults to None: no paper.
        reference: the method that the others are compared with. Defaults to
            None: none.
        columns: the scores to show, see `report.scores`. Defaults to those of
            the paper, or all.

    Returns:
        Markdown.

    Raises:
        UserError: if the reference or a score is not there, two runs have one
            name, or runs were measured on other images.
    """
    parts, caption = compared(
        results, metric, protocol, rank, papers, reference, columns
    )
    return "\n\n".join([*map(tables.markdown, parts), caption])


def compared(
    results: Mapping[str, dict],
    metric: str = "cosine",
    protocol: str = "standard",
    rank: int | None = None,
    papers: Mapping[str, Mapping[str, float]] | None = None,
    reference: str | None = None,
    columns: Sequence[str] = (),
) -> tuple[list[list[list[str]]], str]:
    """Returns the tables of `comparison` as cells, and what stands below them.

    Args:
        results: see `comparison`.
        metric: see `comparison`.
        protocol: see `comparison`.
        rank: see `comparison`.
        papers: see `comparison`.
        reference: see `comparison`.
        columns: see `comparison`.

    Returns:
        Tuple of a list of tables, each a list of rows of cells of which the
        first holds the titles, and a text.

    Raises:
        UserError: see `comparison`.
    """
    groups = _groups(results, metric, protocol, rank)
    if papers is not None:
        order = [*papers, *(group.name for group in groups)]
        groups.sort(key=lambda group: order.index(group.name))
    if reference is not None:
        names = {group.name: group for group in groups}
        if reference not in names:
            raise unknown_name("reference", reference, names)
        reference = names[reference]
    known = dict.fromkeys(
        score for group in groups for x in group.scores.values() for score in x
    )
    of_paper = dict.fromkeys(x for row in (papers or {}).values() for x in row)
    shown = columns or of_paper or known
    for score in shown:
        if score not in known:
            raise unknown_name("score", score, known)
    parts = [_table(score, groups, papers, reference) for score in shown]
    caption = report.caption(results, metric, protocol, shown)
    return parts, f"{caption} {_legend(papers, reference)}"


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
    try:
        lines = pathlib.Path(path).read_text().splitlines()
        rows = csv.reader(line for line in lines if line and line[0] != "#")
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


def _groups(results, metric, protocol, rank):
    """Returns the groups of runs, in the order in which they come."""
    check_images(results)

    def scores(path):
        return report.scores(results[path], metric, protocol, rank)

    return [
        seeds.Group(name, {seed: scores(path) for seed, path in paths.items()})
        for name, paths in seeds.grouped(results).items()
    ]


def check_images(results: Mapping[str, dict]) -> None:
    """Checks that runs were measured on the same images.

    Args:
        results: dict from folder to result dict.

    Raises:
        UserError: if not.
    """
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
        values = group.values(score)
        if not values:
            continue
        row = {score: group.name, "n": str(len(values))}
        row["here"] = _mean_and_deviation(group, score)
        if papers is not None:
            row |= _beside_paper(group, score, papers)
        if reference is not None:
            row |= _beside_reference(group, score, reference)
        rows.append(row)
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def _mean_and_deviation(group, score):
    found = group.mean(score), group.deviation(score)
    return " ± ".join(
        report.formatted(score, value) for value in found if value is not None
    )


def _beside_paper(group, score, papers):
    number = papers.get(group.name, {}).get(score)
    if number is None:
        return {"paper": "", "difference to paper": ""}
    return {
        "paper": report.formatted(score, number),
        "difference to paper": report.formatted(
            score, group.mean(score) - number, sign="+"
        ),
    }


def _beside_reference(group, score, reference):
    titles = f"difference to {reference.name}", "p"
    if group is reference or not reference.values(score):
        return dict.fromkeys(titles, "")
    difference = group.mean(score) - reference.mean(score)
    deviations = [each.deviation(score) for each in (group, reference)]
    clear = None not in deviations and abs(difference) > sum(deviations)
    values = [each.of_seeds(score) for each in (group, reference)]
    both = sorted(values[0].keys() & values[1].keys() - {None})
    p = ""
    if len(both) >= _SEEDS_OF_A_TEST:
        pairs = [[each[seed] for seed in both] for each in values]
        p = f"{seeds.paired_t_test(*pairs):.4f}"
    text = report.formatted(score, difference, sign="+")
    return dict(zip(titles, (f"{text}{' *' * clear}", p)))


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
