"""What a teacher pair knows of images and captions, before it teaches."""

import logging
from collections.abc import Sequence

import keras
import numpy as np

from indistill_tf.training.clip.task import PairTask
from indistill_tf.training.teacher_score import near_chance

logger = logging.getLogger("indistill_tf")

_SCORES = {
    "zero_shot_accuracy": "zero-shot accuracy",
    "image_to_text_r@1": "image to text R@1",
    "text_to_image_r@1": "text to image R@1",
}


def measure(towers: Sequence[keras.Model], task: PairTask) -> None:
    """Logs a teacher pair's scores, and warns where they are near chance.

    Args:
        towers: pair of `keras.Model`, of images and of token ids.
        task: `PairTask`. Its test split is measured.
    """
    scores, test = task.score(*towers), task.captions.test
    found = {name: scores[name] for name in _SCORES if name in scores}
    parts = [f"{_SCORES[name]} {100 * x:.2f} %" for name, x in found.items()]
    text = f"teacher: {', '.join(parts)}, on {len(test)} test images"
    chance = 1 / len(test)
    if "zero_shot_accuracy" in found:
        chance = np.bincount(test.labels).max() / len(test)
    if near_chance(next(iter(found.values())), chance):
        logger.warning(
            "%s, near chance (%.2f %%). Look at the tokenizer, the context "
            "length and the pixels that it was trained on.",
            *(text, 100 * chance),
        )
    else:
        logger.info("%s", text)
