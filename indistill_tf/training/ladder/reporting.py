"""The table and the picture of a ladder, made from its record alone."""

import pathlib

from indistill_tf import tables
from indistill_tf.files import replacing


def table(record: dict) -> str:
    """Returns a ladder in Markdown: a row a rung, and what it is measured on.

    Args:
        record: see `run_ladder`.
    """
    rows = [_row(name, rung) for name, rung in record["rungs"].items()]
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    return f"{tables.markdown(cells)}\n\n{caption(record)}\n"


def caption(record: dict) -> str:
    """Returns what the numbers of a ladder are, in a few sentences.

    Args:
        record: see `run_ladder`.
    """
    images = record["images"]
    before, after = record["load"]
    return (
        f"{images['name']}: {images['test']} test images, retrieval among "
        f"{images['train']} training images, cosine, standard protocol, seed "
        f"{record['seed']}.{_epochs_more(record)} All numbers are the LiteRT "
        "file's own. Milliseconds are those of one image, images per second "
        "those of batches on one thread; the load was "
        f"{before:.1f} before and {after:.1f} after, on {record['device']}."
    )


def plot(record: dict, path: pathlib.Path) -> None:
    """Draws accuracy and mAP over the gzipped size of the files.

    Args:
        record: see `run_ladder`.
        path: the picture to write, such as `ladder.png`.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, 2, figsize=(10, 4.5), layout="constrained"
    )
    for axes, (score, title) in zip(
        panels, (("accuracy", "accuracy"), ("map", "mAP"))
    ):
        for name, rung in record["rungs"].items():
            point = rung["gzip_bytes"] / 1024, 100 * rung[score]
            # The trained ones are filled, and named below.
            trained = rung["hop"] is not None
            face = "C0" if trained else "none"
            axes.plot(*point, "o", color="C0", markerfacecolor=face)
            axes.annotate(
                name,
                point,
                xytext=(4, -12 if trained else 4),
                textcoords="offset points",
            )
        axes.set(xlabel="gzipped KiB", ylabel=f"{title}, %", xscale="log")
        axes.margins(0.25, 0.15)
        axes.grid(color="0.9")
    with replacing(pathlib.Path(path)) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)


def _epochs_more(record):
    if not any(rung["hop"] for rung in record["rungs"].values()):
        return ""
    taught = f"by {record['method']}" if record["method"] else "from labels"
    return (
        " Epochs more, of trained rungs and of their control: "
        f"{record['recipe']['epochs']}, {taught}."
    )


def _row(name, rung):
    one, two = rung["threads_1"], rung["threads_2"]
    rank = [key for key in rung if key.startswith("p@")][-1]
    resident = rung["resident_bytes"]
    return {
        "rung": name,
        "epochs more": "yes" if rung["hop"] else "",
        "accuracy": f"{100 * rung['accuracy']:.2f}",
        "mAP": f"{100 * rung['map']:.2f}",
        rank.upper(): f"{100 * rung[rank]:.2f}",
        "bytes": f"{rung['bytes']:,}",
        "gzipped": f"{rung['gzip_bytes']:,}",
        "ms": f"{one['median']:.4f}",
        "p95": f"{one['p95']:.4f}",
        "min": f"{one['minimum']:.4f}",
        "ms, 2 threads": f"{two['median']:.4f}",
        "images/s": f"{rung['images_per_second']:,.0f}",
        "KiB in memory": "" if resident is None else f"{resident // 1024:,}",
    }
