"""The sections made from `evaluation.npz`: embeddings, neighbours, classes."""

from collections.abc import Sequence

import numpy as np

from indistill_tf.training.page import markup
from indistill_tf.training.page import plots
from indistill_tf.training.page.networks import Network

# Names beside their colours, which more classes have too much alike.
_MOST_CHIPS = 30


def embeddings(networks: Sequence[Network], names: Sequence[str]) -> str:
    """Returns a picture of each network's embeddings of test images.

    A teacher that is none of the networks comes first, from the record of the
    first that learned from it.

    Args:
        networks: of the page.
        names: of the classes.
    """
    known, lacking = _known(networks)
    panels = [*_teachers(networks, known)]
    panels += [
        (network.name, found.points, found.point_labels)
        for network, found in known
    ]
    if not known:
        return lacking
    first, colours = panels[0][1], markup.class_colours(len(names))
    figures = (
        markup.figure(
            caption,
            plots.scatter(
                mirrored(points, first),
                labels,
                colours,
                f"Embeddings of {caption}",
            ),
        )
        for caption, points, labels in panels
    )
    text = (
        "Test images by the two principal components of their embeddings, "
        "which are brought to unit length first. Each network has axes of its "
        "own, pointing the way that brings its points nearer to the first "
        "network's."
    )
    return "\n".join(
        [
            markup.paragraph(text),
            markup.chips(names) if len(names) <= _MOST_CHIPS else "",
            markup.grid(figures),
            lacking,
        ]
    )


def mirrored(points: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Returns points, with each axis turned round where that fits others more.

    The direction of a principal component is arbitrary.

    Args:
        points: float array `[P, 2]`.
        first: the others, `[P, 2]`; of another number they change nothing.
    """
    if points.shape != first.shape:
        return points
    against = np.sum(points.astype(float) * first, axis=0) < 0
    return np.where(against, -points, points)


def neighbours(networks: Sequence[Network], names: Sequence[str]) -> str:
    """Returns test images, and which training images each network finds.

    Args:
        networks: of the page.
        names: of the classes.
    """
    known, lacking = _known(networks)
    if not known:
        return lacking
    text = (
        "Ten test images, and the ten training images nearest to each by the "
        "cosine of embeddings, the nearest first. ✓: of the same class, ✗: of "
        "another."
    )
    queries = range(len(known[0][1].query_labels))
    parts = (_query(known, number, names) for number in queries)
    return "\n".join([markup.paragraph(text), markup.grid(parts), lacking])


def classes(
    networks: Sequence[Network], names: Sequence[str], reference: Network
) -> str:
    """Returns confusion matrices, and what each class gains.

    Args:
        networks: of the page.
        names: of the classes.
        reference: the network that gains are counted from.
    """
    known, lacking = _known(networks)
    if not known:
        return lacking
    matrices = (
        markup.figure(
            network.name,
            plots.confusion(
                _counts(found, len(names)),
                names,
                f"Confusion matrix of {network.name}",
            ),
        )
        for network, found in known
    )
    parts = [
        markup.heading("Confusion matrices"),
        markup.paragraph(
            "Of the test images of each class, how many in a hundred are taken "
            "for each class. A method without labels trains no classifier: "
            "what its network takes images for then means nothing."
        ),
        markup.grid(matrices),
        markup.heading(f"Gain of each class over {reference.name}"),
        _gains(known, names, reference),
        lacking,
    ]
    return "\n".join(parts)


def _known(networks):
    """Returns networks with their details, and what says who has none."""
    found = [
        (network, network.first.details)
        for network in networks
        if network.first.details is not None
    ]
    lacking = [x for x in networks if x.first.details is None]
    if not lacking:
        return found, ""
    folder = lacking[0].first.folder
    names = ", ".join(network.name for network in lacking)
    return found, markup.missing(
        f"No evaluation.npz: {names}. The tool `evaluate` writes it, with "
        f"--model={folder}/model.keras --details={folder}/evaluation.npz and "
        "the flags that chose the images (flags.txt)."
    )


def _teachers(networks, known):
    """Yields panels of the teachers that are none of the networks."""
    seen = {network.first.result.get("checksum") for network in networks}
    for network, found in known:
        teacher = network.first.result.get("teacher_checksum")
        if len(found.teacher_points) and teacher not in seen:
            seen.add(teacher)
            caption = f"teacher of {network.name}"
            yield caption, found.teacher_points, found.point_labels


def _query(known, number, names):
    """Returns one test image, and for each network what it finds."""
    found = known[0][1]
    label = found.query_labels[number]
    image = markup.image(found.query_images[number], f"query: {names[label]}")
    strips = (
        _strip(network.name, found, number, names) for network, found in known
    )
    title = markup.heading(names[label])
    return (
        f'<article><div class="query">{image}{title}</div>\n'
        f"{''.join(strips)}</article>"
    )


def _strip(name, found, number, names):
    labels = found.neighbour_labels[number]
    right = labels == found.query_labels[number]
    alt = "nearest: " + ", ".join(names[label] for label in labels)
    strip = np.concatenate([*found.neighbour_images[number]], axis=1)
    marks = "".join(
        f'<span class="{"right" if x else "wrong"}">{"✓" if x else "✗"}</span>'
        for x in right
    )
    title = markup.paragraph(f"{name}: {right.sum()} of {len(right)}")
    return (
        f'<div class="strip">{title}{markup.image(strip, alt)}'
        f'<div class="marks">{marks}</div></div>'
    )


def _counts(found, classes):
    """Returns the confusion matrix `[C, C]`."""
    pairs = found.labels.astype(int) * classes + found.predictions
    counts = np.bincount(pairs, minlength=classes**2)
    return counts.reshape(classes, classes)


def _gains(known, names, reference):
    base = reference.first.details
    figures = []
    for network, found in known:
        if network is reference or base is None:
            continue
        if not np.array_equal(found.labels, base.labels):
            continue
        gain = _recalls(found, names) - _recalls(base, names)
        alt = f"Gain of each class, {network.name} over {reference.name}"
        figures.append(
            markup.figure(network.name, plots.gains(gain, names, alt))
        )
    if not figures:
        return markup.missing(
            "No other network has an evaluation.npz of the same test images."
        )
    return markup.grid(figures)


def _recalls(found, names):
    """Returns how many in a hundred images of each class are recognised."""
    counts = _counts(found, len(names))
    return 100 * counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
