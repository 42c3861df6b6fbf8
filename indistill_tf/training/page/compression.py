"""The section made from `compress/ladder.json`: what a run could ship."""

from collections.abc import Sequence

from indistill_tf.training.ladder import reporting
from indistill_tf.training.page import markup
from indistill_tf.training.page import plots
from indistill_tf.training.page.networks import Network

_SCORES = {"accuracy": "accuracy", "map": "mAP"}
_COSTS = {
    "gzipped bytes": lambda rung: rung["gzip_bytes"],
    "latency of one image, ms": lambda rung: rung["threads_1"]["median"],
}


def ladders(networks: Sequence[Network]) -> str:
    """Returns the ladder of each network that has one, as table and pictures.

    Args:
        networks: of the page.
    """
    known = [x for x in networks if x.first.ladder is not None]
    if not known:
        return markup.missing(
            f"No {reporting.FOLDER}/{reporting.RECORD}. The tool `compress` "
            f"writes it, with --work_dir={networks[-1].first.folder}."
        )
    return "\n".join(_ladder(x.name, x.first.ladder) for x in known)


def _ladder(name, record):
    figures = (
        markup.figure(f"{score} against {label}", _plot(record, label, key))
        for key, score in _SCORES.items()
        for label in _COSTS
    )
    return "\n".join(
        [
            markup.heading(f"Ladder of {name}"),
            markup.table(reporting.rows(record)),
            markup.paragraph(reporting.caption(record)),
            markup.grid(figures),
        ]
    )


def _plot(record, label, score):
    points = {
        name: (_COSTS[label](rung), [100 * rung[score]])
        for name, rung in record["rungs"].items()
    }
    return plots.against(points, label, _SCORES[score])
