"""What a teacher knows of the images, measured before it teaches."""

import logging

import keras
import numpy as np

from indistill_tf import evaluation
from indistill_tf.data import ImageSet
from indistill_tf.graph import front
from indistill_tf.models import pixels

logger = logging.getLogger("indistill_tf")


def measure(teacher: keras.Model, images: ImageSet, role: str) -> float:
    """Logs a teacher's accuracy, and warns where its images may be wrong ones.

    Args:
        teacher: functional `keras.Model`, from normalised images.
        images: `indistill_tf.data.ImageSet`. The validation split is measured
            where there is one, else the test split.
        role: string, what the teacher is called.

    Returns:
        Float, the accuracy.

    Raises:
        UserError: if its outputs are not finite.
    """
    split, name = images.validation, "validation"
    if split is None:
        split, name = images.test, "test"
    found = evaluation.accuracy(teacher, split, images.preprocessing)
    logger.info(
        "%s: accuracy %.2f %% on %d %s images",
        *(role, 100 * found, len(split), name),
    )
    if front.scaling_layer(teacher) or found < _near_chance(split.labels):
        _warn(teacher, split, images.preprocessing, role, found)
    return found


def _near_chance(labels):
    """Returns an accuracy that says little: about that of a constant."""
    chance = np.bincount(labels).max() / len(labels)
    return min(2 * chance, chance + 0.1)


def _warn(teacher, split, preprocessing, role, found):
    """Warns, with the score that the teacher has on other pixels."""
    reasons = [f"an accuracy of {100 * found:.2f} % is near chance"]
    layer = front.scaling_layer(teacher)
    if layer:
        reasons = [
            f"its layer {layer!r} scales pixels itself, and the images are "
            "normalised already"
        ]
    best, choice = max(
        (_accuracy_of(teacher, split, preprocessing, choice), choice)
        for choice in pixels.RANGES
    )
    advice = "Look at the order of its classes, and what it was trained on."
    if best > found:
        advice = f"With `pixels={choice}` its accuracy is {100 * best:.2f} %."
    logger.warning("%s: %s. %s", role, "; ".join(reasons), advice)


def _accuracy_of(teacher, split, preprocessing, choice):
    other = pixels.reading(
        teacher, choice, preprocessing.mean, preprocessing.std
    )
    return evaluation.accuracy(other, split, preprocessing)
