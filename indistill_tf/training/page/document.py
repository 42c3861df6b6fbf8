"""The page: what it says of networks, section by section."""

from collections.abc import Sequence

from indistill_tf.training import report
from indistill_tf.training.page import compression
from indistill_tf.training.page import details
from indistill_tf.training.page import markup
from indistill_tf.training.page import plots
from indistill_tf.training.page.networks import Network
from indistill_tf.training.page.over_epochs import EVALUATE
from indistill_tf.training.page.over_epochs import MAP

_COSTS = {"parameters": "parameters", "latency_ms": "latency of one image, ms"}
# See `over_epochs.MAP`.
_FLOW = "val_information_flow", "L_MI", 1.0
_INTRODUCTION = (
    "Made from the records of finished runs; nothing was trained or measured "
    "again."
)


def document(
    networks: Sequence[Network],
    tables: Sequence[Sequence[Sequence[str]]],
    caption: str,
    measured: tuple,
    reference: str | None = None,
) -> str:
    """Returns the page: one HTML file that loads nothing from elsewhere.

    A section whose records are missing says so, and how to write them.

    Args:
        networks: list of `Network`, see `read`.
        tables: tables of scores, lists of rows of cells.
        caption: text, what stands below the tables.
        measured: tuple of metric, protocol and rank, see `report.scores`.
        reference: name of the network that gains are counted from. Defaults
            to None: the student that learned from labels alone, or the first.
    """
    images = networks[0].first.result["images"]
    names = images["class_names"]
    base = _reference(networks, reference)
    sections = (
        ("scores", "Scores", _scores(networks, tables, caption, measured)),
        ("training", "Training", _training(networks)),
        ("flow", "Information flow", _information_flow(networks)),
        ("embeddings", "Embeddings", details.embeddings(networks, names)),
        ("neighbours", "Neighbours", details.neighbours(networks, names)),
        ("classes", "Classes", details.classes(networks, names, base)),
        ("compression", "Compression", compression.ladders(networks)),
        ("records", "Records", _records(networks)),
    )
    title = f"{len(networks)} networks on {images['name']}"
    return markup.document(title, _INTRODUCTION, sections)


def _reference(networks, name):
    """Returns the network of a name, else of the baseline, else the first."""
    wanted = name or report.title("student_alone")
    found = [network for network in networks if network.name == wanted]
    return (found or networks)[0]


def _scores(networks, tables, caption, measured):
    parts = [markup.table(rows) for rows in tables]
    figures = (
        markup.figure(
            f"mAP against {label}",
            plots.against_cost(networks, cost, label, "mAP", measured),
        )
        for cost, label in _COSTS.items()
    )
    return "\n".join([*parts, markup.paragraph(caption), markup.grid(figures)])


def _training(networks):
    text = "Each loss, unweighted. A line stands where a stage begins."
    known = [network for network in networks if network.first.history]
    figures = [
        markup.figure(
            _of_seed(network),
            plots.losses(network.first.history, f"Losses of {network.name}"),
        )
        for network in known
    ]
    if _logged(networks, MAP[0]):
        curves = plots.curves(networks, *MAP)
        figures.append(markup.figure("mAP of the validation split", curves))
    parts = [markup.paragraph(text), markup.grid(figures)]
    lacking = _names(network for network in networks if network not in known)
    if lacking:
        parts.append(markup.missing(f"No history.csv: {lacking}."))
    if not _logged(networks, MAP[0]):
        parts.append(
            markup.missing(f"No mAP of the validation split. {EVALUATE}")
        )
    return "\n".join(parts)


def _information_flow(networks):
    text = (
        "L_MI is the divergence of a network's information flow from its "
        "teacher's, in the course of training. It is summed over batches of "
        "128 validation images; lower is better."
    )
    if not _logged(networks, _FLOW[0]):
        return markup.missing(f"No L_MI of the validation split. {EVALUATE}")
    curves = plots.curves(networks, *_FLOW)
    figure = markup.figure("L_MI of the validation split", curves)
    return markup.paragraph(text) + markup.grid([figure])


def _logged(networks, name):
    return any(len(network.over_epochs(name)[0]) for network in networks)


def _of_seed(network):
    """Returns a network's name, and which of its seeds is shown."""
    if len(network.runs) == 1:
        return network.name
    return f"{network.name}, seed {network.first.result['seed']}"


def _names(networks):
    return ", ".join(network.name for network in networks)


def _records(networks):
    """Returns how each run was made: where, from what code, with what flags."""
    titles = ["", "seed", "epochs", "device", "latency of", "commit", "version"]
    rows = [
        [
            name,
            str(result.get("seed", "")),
            str(result.get("epochs", "")),
            str(result.get("device", "")),
            # Records of before are of TensorFlow, as all were then.
            result["scores"].get("latency_runtime", "TensorFlow"),
            _short(result.get("git_commit") or ""),
            result.get("versions", {}).get("indistill_tf", ""),
        ]
        for name, result in _results(networks)
    ]
    flags = [
        markup.folded(f"Flags of {run.folder.name}", run.flags)
        for network in networks
        for run in network.runs
        if run.flags
    ]
    return "\n".join([markup.table([titles, *rows]), *flags])


def _short(commit):
    """Returns a commit's first digits, and whether its tree was changed."""
    return commit[:10] + commit[40:]


def _results(networks):
    return [
        (network.name, run.result)
        for network in networks
        for run in network.runs
    ]
