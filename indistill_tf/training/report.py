"""Tables and plots, made from the files of a work directory alone."""

import pathlib
import re

from indistill_tf import tables
from indistill_tf.errors import UserError
from indistill_tf.training.history import read_history
from indistill_tf.training.work_directory import replacing

# What a run's folder holds beside the student itself.
_ROLE = re.compile(r"teacher|auxiliary(_\d+)?|student_\w+")
# What a table calls a role, where it is not the role's own name.
_TITLES = {
    "student_alone": "student, baseline",
    "student_without_warm_up": "student, no warm-up",
    "student_by_closed_form": "student, closed form",
}
_WITHOUT_METHOD = {"student_alone": "labels only"}
# Decimals of a score where they are not two.
_DECIMALS = {"L_MI": 4}


def table(results, metric="cosine", protocol="standard", rank=None):
    """Returns a text table with one row a network.

    Args:
        results: dict from role to result dict.
        metric: of retrieval. Defaults to `"cosine"`.
        protocol: of retrieval. Defaults to `"standard"`.
        rank: int, the k of precision at k. Defaults to the largest measured.
    """
    cells = rows(results, metric, protocol, rank)
    text = caption(results, metric, protocol, cells[0])
    return (
        f"{tables.aligned(cells)}\n{text} Latency is of one image on this CPU."
    )


def rows(results, metric="cosine", protocol="standard", rank=None):
    """Returns the rows of `table`, lists of cells; the first holds the titles.

    Args:
        results: see `table`.
        metric: see `table`.
        protocol: see `table`.
        rank: see `table`.
    """
    found = [
        _row(role, results[role], metric, protocol, rank) for role in results
    ]
    # What some networks lack stands where it does in the others.
    by_length = sorted(found, key=len, reverse=True)
    titles = list(dict.fromkeys(x for row in by_length for x in row))
    return [titles, *([row.get(x, "") for x in titles] for row in found)]


def networks(folder):
    """Returns the folders of the networks that a run trained, by role.

    Args:
        folder: the run's, which is the student's.
    """
    folder = pathlib.Path(folder)
    found = {
        path.parent.name: path.parent
        for path in sorted(folder.glob("*/result.json"))
        if _ROLE.fullmatch(path.parent.name)
    }
    first = {"teacher": found.pop("teacher")} if "teacher" in found else {}
    return {**first, **found, "student": folder}


def scores(result, metric="cosine", protocol="standard", rank=None):
    """Returns the scores of a result by their names in tables.

    Accuracy, mAP and precision at a rank are in percent; L_MI is the divergence
    of information flow from the teacher, summed over batches of test images, of
    networks that have one.

    Args:
        result: result dict.
        metric: see `table`.
        protocol: see `table`.
        rank: see `table`.
    """
    found = result["scores"]["retrieval"][metric][protocol]
    rank = f"p@{rank}" if rank else list(found)[-1]
    if rank not in found:
        raise UserError(
            f"Precision at {rank.removeprefix('p@')} was not measured, but: "
            f"{', '.join(name for name in found if name != 'map')}. Choose one "
            "of these as `rank`, or score again with these `ranks`."
        )
    return {
        "accuracy": 100 * result["scores"]["accuracy"],
        "mAP": 100 * found["map"],
        rank.upper(): 100 * found[rank],
        **_information_flow(result["scores"]),
    }


def formatted(score, value, sign=""):
    """Returns a score's value as text, with as many decimals as it needs.

    Args:
        score: string, its name, see `scores`.
        value: float.
        sign: string, `"+"` for one before positive values too. Defaults to
            `""`.
    """
    return f"{value:{sign}.{_DECIMALS.get(score, 2)}f}"


def caption(results, metric, protocol, shown=()):
    """Returns what the scores of a table are measured on.

    Args:
        results: see `table`.
        metric: see `table`.
        protocol: see `table`.
        shown: names of the scores that are shown. Defaults to none.
    """
    sample = next(iter(results.values()))["images"]
    text = (
        f"{sample['name']}: {sample['test']} test images, retrieval among "
        f"{sample['train']} training images, {metric}, {protocol} protocol."
    )
    if "L_MI" in shown:
        text += (
            " L_MI: divergence of information flow from the teacher, summed "
            "over batches of test images; lower is better."
        )
    return text


def pair_table(results):
    """Returns a text table with one row a pair of towers.

    Args:
        results: dict from role to result dict, see `run_pair`.
    """
    found = [_pair_row(role, results[role]) for role in results]
    sample = next(iter(results.values()))["captions"]
    cells = [list(found[0]), *(list(row.values()) for row in found)]
    return (
        f"{tables.aligned(cells)}\n"
        f"{sample['name']}: {sample['test'][0]} test images, "
        f"{sample['train'][0]} to train on; I: image, T: text, R@k: recall "
        "at k."
    )


def _pair_row(role, result):
    scores = result["scores"]
    row = {"": f"{title(role)} ({' + '.join(result['models'])})"}
    for name, column in (
        ("zero_shot_accuracy", "zero-shot"),
        ("image_to_text_r@1", "I->T R@1"),
        ("image_to_text_r@5", "I->T R@5"),
        ("text_to_image_r@1", "T->I R@1"),
        ("text_to_image_r@5", "T->I R@5"),
    ):
        if name in scores:
            row[column] = f"{100 * scores[name]:.2f}"
    row["s/epoch"] = f"{result['seconds_per_epoch']:.2f}"
    row["parameters"] = f"{sum(scores['parameters']):,}"
    return row


def _row(role, result, metric, protocol, rank):
    measured = result["scores"]
    # A network that was only evaluated has none.
    seconds = result.get("seconds_per_epoch")
    step, memory = map(result.get, ("seconds_per_step", "peak_memory_bytes"))
    method = result.get("method") or _WITHOUT_METHOD.get(role)
    names = ", ".join(filter(None, (result["model"], method)))
    return {
        "": f"{title(role)} ({names})",
        **{
            name: formatted(name, value)
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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    draw_losses(axes, read_history(folder))
    axes.set_title("Loss of each stage")
    axes.legend()
    with replacing(pathlib.Path(path)) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_losses(axes, rows):
    """Draws each loss over the epochs, with a line where a stage begins.

    Of a network that learned from labels there is one.

    Args:
        axes: `matplotlib.axes.Axes`.
        rows: list of dicts, an epoch each, see `read_history`.
    """
    names = dict.fromkeys(
        name for row in rows for name in row if name.startswith("loss/")
    )
    for name in names or ("loss",):
        points = [(row["epoch"] + 1, row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    stages = [row.get("stage", 1) for row in rows]
    for epoch in range(1, len(rows)):
        if stages[epoch] != stages[epoch - 1]:
            axes.axvline(epoch + 0.5, color="0.8", linewidth=1)
    axes.set(xlabel="epoch", ylabel="loss (unweighted)", yscale="log")


def title(role):
    """Returns what tables call a role, or another name as it is.

    Args:
        role: string.
    """
    return _TITLES.get(role, role)


def _information_flow(scores):
    """Returns L_MI where a network has a teacher to compare with."""
    flow = scores.get("information_flow")
    return {"L_MI": flow["sum"]} if flow else {}
