"""Tables and plots, made from the files of a work directory alone."""

import pathlib

from indistill_tf import tables
from indistill_tf.training.checkpoint import read_history
from indistill_tf.training.work_directory import replacing

# What a table calls a role, where it is not the role's own name.
_TITLES = {
    "student_alone": "student, baseline",
    "student_without_warm_up": "student, no warm-up",
    "student_by_closed_form": "student, closed form",
}
_WITHOUT_METHOD = {"student_alone": "labels only"}


def table(results, metric="cosine", protocol="standard", rank=None):
    """Returns a text table with one row a network.

    Args:
        results: dict from role to result dict.
        metric: of retrieval. Defaults to `"cosine"`.
        protocol: of retrieval. Defaults to `"standard"`.
        rank: int, the k of precision at k. Defaults to the largest measured.
    """
    rows = [
        _row(role, results[role], metric, protocol, rank) for role in results
    ]
    measured = caption(results, metric, protocol).removesuffix(".")
    return f"{_aligned(rows)}\n{measured}; latency of one image on this CPU."


def scores(result, metric="cosine", protocol="standard", rank=None):
    """Returns accuracy, mAP and precision at a rank of a result, in percent.

    Args:
        result: result dict.
        metric: see `table`.
        protocol: see `table`.
        rank: see `table`.
    """
    found = result["scores"]["retrieval"][metric][protocol]
    rank = f"p@{rank}" if rank else list(found)[-1]
    return {
        "accuracy": 100 * result["scores"]["accuracy"],
        "mAP": 100 * found["map"],
        rank.upper(): 100 * found[rank],
    }


def caption(results, metric, protocol):
    """Returns what the scores of a table are measured on.

    Args:
        results: see `table`.
        metric: see `table`.
        protocol: see `table`.
    """
    sample = next(iter(results.values()))["images"]
    return (
        f"{sample['name']}: {sample['test']} test images, retrieval among "
        f"{sample['train']} training images, {metric}, {protocol} protocol."
    )


def pair_table(results):
    """Returns a text table with one row a pair of towers.

    Args:
        results: dict from role to result dict, see `run_pair`.
    """
    rows = [_pair_row(role, results[role]) for role in results]
    sample = next(iter(results.values()))["captions"]
    return (
        f"{_aligned(rows)}\n"
        f"{sample['name']}: {sample['test'][0]} test images, "
        f"{sample['train'][0]} to train on; I: image, T: text, R@k: recall "
        "at k."
    )


def _pair_row(role, result):
    scores = result["scores"]
    row = {"": f"{_title(role)} ({' + '.join(result['models'])})"}
    for name, title in (
        ("zero_shot_accuracy", "zero-shot"),
        ("image_to_text_r@1", "I->T R@1"),
        ("image_to_text_r@5", "I->T R@5"),
        ("text_to_image_r@1", "T->I R@1"),
        ("text_to_image_r@5", "T->I R@5"),
    ):
        if name in scores:
            row[title] = f"{100 * scores[name]:.2f}"
    row["s/epoch"] = f"{result['seconds_per_epoch']:.2f}"
    row["parameters"] = f"{sum(scores['parameters']):,}"
    return row


def _aligned(rows):
    """Returns a table's text, of a dict from title to cell for each row."""
    titles = list(rows[0])
    cells = ([row[title] for title in titles] for row in rows)
    return tables.aligned([titles, *cells])


def _row(role, result, metric, protocol, rank):
    measured = result["scores"]
    # A network that was only evaluated has none.
    seconds = result.get("seconds_per_epoch")
    step, memory = map(result.get, ("seconds_per_step", "peak_memory_bytes"))
    method = result.get("method") or _WITHOUT_METHOD.get(role)
    names = ", ".join(filter(None, (result["model"], method)))
    return {
        "": f"{_title(role)} ({names})",
        **{
            name: f"{value:.2f}"
            for name, value in scores(result, metric, protocol, rank).items()
        },
        "s/epoch": f"{seconds:.2f}" if seconds else "",
        "s/step": f"{step:.3f}" if step else "",
        "peak MB": f"{memory / 1e6:.0f}" if memory else "",
        "parameters": f"{measured['parameters']:,}",
        "file KB": f"{measured['file_bytes'] / 1024:.0f}",
        "latency ms": f"{measured['latency_ms']:.2f}",
    }


def plot_losses(folder, path):
    """Draws each loss of the student's hop over the epochs, stage by stage.

    Args:
        folder: the hop's folder, with `history.csv`.
        path: the picture to write, such as `loss.png`.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = read_history(folder)
    names = dict.fromkeys(
        name for row in rows for name in row if name.startswith("loss/")
    )
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name in names:
        points = [(row["epoch"] + 1, row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    stages = [row.get("stage", 1) for row in rows]
    for epoch in range(1, len(rows)):
        if stages[epoch] != stages[epoch - 1]:
            axes.axvline(epoch + 0.5, color="0.8", linewidth=1)
    axes.set(
        xlabel="epoch",
        ylabel="loss (unweighted)",
        yscale="log",
        title="Loss of each stage",
    )
    axes.legend()
    with replacing(pathlib.Path(path)) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)


def _title(role):
    return _TITLES.get(role, role)
