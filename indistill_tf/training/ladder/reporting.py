"""The table and the picture of a ladder, made from its record alone."""

import pathlib
from collections.abc import Mapping

from indistill_tf import tables
from indistill_tf.files import replacing
from indistill_tf.hints import Path
from indistill_tf.training import work_directory

# In a run's folder, unless another is asked for, and there.
FOLDER = "compress"
RECORD = "ladder.json"


def read(folder: Path) -> dict | None:
    """Returns a ladder's record, see `run_ladder`, or None where none is.

    Args:
        folder: of the ladder.

    Raises:
        UserError: if the record is no JSON.
    """
    path = pathlib.Path(folder) / RECORD
    return work_directory.read_json(path) if path.exists() else None


def table(record: dict) -> str:
    """Returns a ladder in Markdown: a row a rung, and what it is measured on.

    Args:
        record: see `run_ladder`.
    """
    return f"{tables.markdown(rows(record))}\n\n{caption(record)}\n"


def rows(record: dict) -> list[list[str]]:
    """Returns the rows of `table`, lists of cells; the first holds the titles.

    Args:
        record: see `run_ladder`.
    """
    found = [_row(name, rung) for name, rung in record["rungs"].items()]
    return [list(found[0]), *(list(row.values()) for row in found)]


def results(ladders: Mapping[str, dict]) -> dict[str, dict]:
    """Returns the scores of rungs as those of runs, by names with their seed.

    So `indistill_tf.training.comparison` averages them. A rung that nothing
    trained on, and on which all ladders agree, is there once, without a seed:
    they are of one run.

    Args:
        ladders: dict from folder to record, see `run_ladder`.

    Returns:
        Dict from name to a result dict of `scores` and `images` alone.
    """
    rungs = {}
    for folder, record in ladders.items():
        for name, rung in record["rungs"].items():
            place = f"{folder}/{name}_seed{record['seed']}"
            result = _result(rung, record["images"])
            rungs.setdefault(name, {})[place] = rung["hop"], result
    found = {}
    for name, places in rungs.items():
        hops, results = zip(*places.values(), strict=True)
        if not any(hops) and all(x == results[0] for x in results):
            found[name] = results[0]
        else:
            found |= dict(zip(places, results, strict=True))
    return found


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


def _result(rung, images):
    retrieval = {
        key: value
        for key, value in rung.items()
        if key == "map" or key.startswith("p@")
    }
    scores = {
        "accuracy": rung["accuracy"],
        "retrieval": {"cosine": {"standard": retrieval}},
    }
    return {"scores": scores, "images": images}


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
