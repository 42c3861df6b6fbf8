"""What a teacher knows of the images, measured before it teaches."""

import logging

import keras
import numpy as np

from indistill_tf import data
from indistill_tf import evaluation
from indistill_tf.data import ImageSet
from indistill_tf.graph import front
from indistill_tf.models import pixels

logger = logging.getLogger("indistill_tf")

# Images on which kinds of pixels are compared, and what sets them apart.
_SAMPLE = 500
_APART = 0.1


def measure(teacher: keras.Model, images: ImageSet, role: str) -> float:
    """Logs a teacher's accuracy, and warns where it is near chance.

    Args:
        teacher: functional `keras.Model`, from normalised images.
        images: `indistill_tf.data.ImageSet`. The validation split is measured
            where there is one, else the test split.
        role: string, what the teacher is called.

    Returns:
        Float, the accuracy.

    Raises:
        UserError: if a weight or an output of it is not finite.
    """
    name = "test" if images.validation is None else "validation"
    split = images.validation or images.test
    found = evaluation.accuracy(teacher, split, images.preprocessing)
    text = f"{role}: accuracy {100 * found:.2f} % on {len(split)} {name} images"
    chance = np.bincount(split.labels).max() / len(split)
    if near_chance(found, chance):
        logger.warning(
            "%s, near chance (%.2f %%). Look at the pixels that it was trained "
            "on (`pixels=raw`), and at the order of its classes.",
            *(text, 100 * chance),
        )
    else:
        logger.info("%s", text)
    return found


def near_chance(found: float, chance: float) -> bool:
    """Returns whether a score tells little more than guessing does.

    Args:
        found: float in 0..1.
        chance: float in 0..1, the score of a guess.
    """
    return found < min(2 * chance, chance + _APART)


def compare_pixels(network: keras.Model, images: ImageSet, role: str) -> None:
    """Warns where a trained network is made for other pixels.

    It is so where a layer in front of it scales pixels, unless it knows
    normalised images better, and where it knows others better by far.

    Args:
        network: functional `keras.Model`, from normalised images.
        images: `indistill_tf.data.ImageSet`; up to 500 are looked at.
        role: string, what the network is called.

    Raises:
        UserError: if a weight or an output of it is not finite.
    """
    found, *others = (
        (_accuracy(network, images, choice), choice)
        for choice in (pixels.NORMALIZED, *pixels.RANGES)
    )
    best, layer = max(others), front.scaling_layer(network)
    if best[0] > found[0] + _APART or (layer and best[0] > found[0] - _APART):
        own = f"its layer {layer!r} scales pixels itself, and " if layer else ""
        logger.warning(
            "%s: %simages are normalised already. Of some images it knows "
            "%.1f %% so, and %.1f %% with `pixels=%s`.",
            *(role, own, 100 * found[0], 100 * best[0], best[1]),
        )


def _accuracy(network, images, choice):
    prepared = images.preprocessing
    network = pixels.reading(network, choice, prepared.mean, prepared.std)
    batches = data.evaluation_batches(
        images.validation or images.test, prepared, batch_size=_SAMPLE // 5
    )
    return evaluation.accuracy_on(network, batches.take(5))
