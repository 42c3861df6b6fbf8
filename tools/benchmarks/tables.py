"""Benchmarks' results as text and as a picture."""

from indistill_tf import tables
from indistill_tf.files import replacing


def table(name, rows):
    """Returns the rows of one case as text.

    Args:
        name: string, the case.
        rows: dict from rows to dicts of numbers, texts or, of several runs,
            dicts of `median`, `lowest` and `highest`.
    """
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    cells = [[name, *columns]]
    for label, row in rows.items():
        cells.append([label, *(_cell(row.get(key, "")) for key in columns)])
    return tables.aligned(cells)


def operations(found):
    """Returns the dearest operations as text.

    Args:
        found: list of pairs, see `indistill_tf.benchmark.profile`.
    """
    rows = [(f"{milliseconds:.3f}", name) for name, milliseconds in found]
    titles = ("ms a step", "operation")
    return tables.aligned([titles, *rows], (1,), least=(10,), rule=False)


def plot_ratios(results, path):
    """Draws all ratios of ours over the plain way, with their spread.

    Args:
        results: dict from cases to rows.
        path: the picture to write.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    ratios = {
        f"{case}: {label}": row["ratio"]
        for case, rows in results.items()
        for label, row in rows.items()
        if "ratio" in row
    }
    figure, axes = pyplot.subplots(
        figsize=(8, 1 + 0.3 * len(ratios)), layout="constrained"
    )
    for height, ratio in enumerate(ratios.values()):
        axes.plot([ratio["lowest"], ratio["highest"]], [height] * 2, "C0-")
        axes.plot(ratio["median"], height, "C0o")
    axes.axvline(1, color="grey")
    axes.set_yticks(range(len(ratios)), ratios)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("ours over plain: median, lowest, highest")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    pyplot.close(figure)


def _cell(found):
    if isinstance(found, dict):
        median, lowest, highest = (
            _number(found[key]) for key in ("median", "lowest", "highest")
        )
        return f"{median} ({lowest} to {highest})"
    if isinstance(found, list):
        return ", ".join(map(_number, found))
    return _number(found)


def _number(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
