"""Tables as text: columns that line up, or Markdown."""

import itertools
from collections.abc import Sequence


def aligned(
    rows: Sequence[Sequence[str]],
    left: Sequence[int] = (0,),
    least: Sequence[int] = (),
    rule: bool = True,
) -> str:
    """Returns a table whose columns line up, two spaces apart.

    Args:
        rows: of cells, all of one length; the first holds the titles.
        left: the numbers of the columns that begin in line; the others, such
            as numbers, end in line. Defaults to the first column.
        least: the least width of each column, in characters, so that rows
            that are printed one by one line up too. Defaults to none.
        rule: whether a line is drawn under the titles. Defaults to `True`.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths = [*map(max, widths, itertools.chain(least, itertools.repeat(0)))]
    if len(widths) - 1 in left:
        widths[-1] = 0  # Nothing stands behind it.
    lines = [
        "  ".join(
            text.ljust(width) if column in left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths))
        )
        for row in rows
    ]
    if rule:
        lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown.

    Args:
        rows: of cells, all of one length; the first holds the titles.
    """
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)
