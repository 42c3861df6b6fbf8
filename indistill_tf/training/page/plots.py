"""The plots of a page, as SVG that takes its text's colour from the page."""

import io
import re
from collections.abc import Mapping
from collections.abc import Sequence
from html import escape

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from indistill_tf.training import report
from indistill_tf.training.page.markup import COLOURS
from indistill_tf.training.page.networks import Network

# Stands for the page's own colour; nothing else has it.
_INK = "#010203"
_MARKERS = "osD^vPX<>*"
_MOST_NUMBERS = 12
_MOST_CLASSES = 30
_MOST_BARS = 20

_SETTINGS = {
    **dict.fromkeys(
        (
            *("text.color", "axes.edgecolor", "axes.labelcolor"),
            *("xtick.color", "ytick.color"),
        ),
        _INK,
    ),
    "axes.facecolor": "none",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "indistill_tf",
    # A name may hold a dollar sign.
    "text.parse_math": False,
}


# Applies to what is drawn and to what is written.
_styled = matplotlib.rc_context(_SETTINGS)


@_styled
def losses(rows: Sequence[dict], alt: str) -> str:
    """Returns each loss over the epochs, with a line where a stage begins.

    Args:
        rows: an epoch each, see `read_history`.
        alt: text that says what it shows.
    """
    figure, axes = _figure()
    report.draw_losses(axes, rows)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    _plain_ticks(axes.yaxis)
    return _svg(figure, alt)


@_styled
def curves(
    networks: Sequence[Network], name: str, label: str, factor: float = 1.0
) -> str:
    """Returns a number over the epochs, a curve each network that logged it.

    Several seeds are their mean, in a band of one standard deviation.

    Args:
        networks: of the page.
        name: string, a column of `history.csv`.
        label: text, of the axis.
        factor: float, what the number is multiplied by. Defaults to 1.
    """
    names = [network.name for network in networks]
    figure, axes = _figure(height=_height(names))
    for index, network in enumerate(networks):
        epochs, values = network.over_epochs(name)
        if not len(epochs):
            continue
        mean = factor * values.mean(axis=0)
        axes.plot(epochs, mean, label=network.name, **_style(index, line=True))
        if len(values) > 1:
            spread = factor * values.std(axis=0, ddof=1)
            axes.fill_between(
                epochs,
                mean - spread,
                mean + spread,
                color=COLOURS[index % len(COLOURS)],
                alpha=0.2,
                linewidth=0,
            )
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    return _svg(figure, f"{label} over the epochs")


def against_cost(
    networks: Sequence[Network],
    cost: str,
    label: str,
    score: str,
    measured: tuple,
) -> str:
    """Returns a score against a cost, a mark each network.

    Several seeds are their mean, with a line of one standard deviation.

    Args:
        networks: of the page.
        cost: string, in the scores of a result.
        label: text, of the axis.
        score: string, see `report.scores`.
        measured: tuple of its other arguments.
    """
    points = {
        network.name: (
            np.mean(network.costs(cost)),
            network.scores(score, measured),
        )
        for network in networks
    }
    return against(points, label, score)


@_styled
def against(
    points: Mapping[str, tuple[float, Sequence[float]]], label: str, score: str
) -> str:
    """Returns values against a cost, a mark each name.

    Several values are their mean, with a line of one standard deviation.

    Args:
        points: dict from a name to its cost and its values, in percent.
        label: text, of the cost's axis.
        score: text, what the values are.
    """
    figure, axes = _figure(height=_height(list(points)))
    for index, (name, (cost, values)) in enumerate(points.items()):
        axes.errorbar(
            cost,
            np.mean(values),
            yerr=np.std(values, ddof=1) if len(values) > 1 else None,
            label=name,
            **_style(index),
        )
    axes.set(xlabel=label, ylabel=f"{score}, %", xscale="log")
    axes.margins(0.1)
    _plain_ticks(axes.xaxis)
    return _svg(figure, f"{score} against {label}")


@_styled
def scatter(
    points: np.ndarray, labels: np.ndarray, colours: Sequence[str], alt: str
) -> str:
    """Returns points in the colours of their classes.

    Args:
        points: float array `[P, 2]`.
        labels: int array `[P]`.
        colours: of the classes.
        alt: text that says what it shows.
    """
    figure, axes = _figure(3.6, 3.6)
    axes.scatter(
        *points.astype(float).T,
        c=[colours[label] for label in labels],
        s=7,
        alpha=0.8,
        linewidths=0,
        rasterized=True,
    )
    axes.set(aspect="equal")
    axes.set_axis_off()
    return _svg(figure, alt)


@_styled
def confusion(counts: np.ndarray, names: Sequence[str], alt: str) -> str:
    """Returns how often images of each class are taken for each class.

    Args:
        counts: int array `[C, C]`, by the true class, then the predicted one.
        names: of the classes.
        alt: text that says what it shows.
    """
    of_class = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    percent = 100 * counts / of_class
    figure, axes = _figure(4.2, 4.2)
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    axes.set(xlabel="taken for", ylabel="is")
    if len(names) <= _MOST_CLASSES:
        ticks = range(len(names))
        axes.set_xticks(ticks, names, rotation=90)
        axes.set_yticks(ticks, names)
    if len(names) <= _MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(percent):
            axes.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if value > 55 else "#333333",
            )
    return _svg(figure, alt)


@_styled
def gains(values: np.ndarray, names: Sequence[str], alt: str) -> str:
    """Returns a bar each class; of many classes the largest changes alone.

    Args:
        values: float array `[C]`, points of accuracy.
        names: of the classes.
        alt: text that says what it shows.
    """
    order = np.argsort(-values, kind="stable")
    if len(order) > _MOST_BARS:
        order = np.concatenate(
            [order[: _MOST_BARS // 2], order[-_MOST_BARS // 2 :]]
        )
    shown = values[order]
    figure, axes = _figure(4.2, 0.8 + 0.24 * len(order))
    colours = np.where(shown < 0, COLOURS[3], COLOURS[0])
    bars = axes.barh(range(len(order)), shown, color=colours)
    axes.bar_label(bars, [f"{x:+.1f}" for x in shown], padding=3)
    axes.set_yticks(range(len(order)), [names[i] for i in order])
    axes.invert_yaxis()
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.margins(x=0.2)
    axes.set_xlabel("points of accuracy")
    return _svg(figure, alt)


def _style(index, line=False):
    """Returns how a network is drawn, in every plot alike."""
    turn = index // len(COLOURS)
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": _MARKERS[(index + turn) % len(_MARKERS)],
        "markersize": 4 if line else 8,
        "linestyle": ("-", "--", ":")[turn % 3] if line else "none",
    }


def _height(names):
    """Returns inches, with room for a key of these names below the axes."""
    return 2.4 + 0.2 * len(names) / _columns(names)


def _columns(names):
    """Returns the columns of a key."""
    return 1 if max(map(len, names)) > 22 else 2


def _plain_ticks(axis):
    """Labels a logarithmic axis with plain numbers, some on every axis."""
    low, high = axis.get_view_interval()
    locator = ticker.LogLocator()
    if high < 10 * low:
        locator = ticker.MaxNLocator(3)
    elif high < 100 * low:
        locator = ticker.LogLocator(subs=(1, 2, 5))
    axis.set_major_locator(locator)
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.set_minor_locator(ticker.NullLocator())


def _figure(width=4.2, height=2.9):
    """Returns a figure, in inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure, alt):
    """Returns a figure as SVG inside HTML: without what names other hosts."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        place = "outside lower center"
        figure.legend(handles, labels, loc=place, ncols=_columns(labels))
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(written, format="svg", dpi=110, metadata=nothing)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' xmlns(:xlink)?="[^"]*"|<!--.*?-->\n?', "", text)
    text = re.sub(r"^ +", "", text, flags=re.MULTILINE)
    text = text.replace("xlink:href=", "href=").replace(_INK, "currentColor")
    return text.replace(
        "<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1
    )
