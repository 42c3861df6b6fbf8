"""One pair of towers trained, measured and saved."""

import dataclasses
import logging
import pathlib
import sys

import keras
import numpy as np

from indistill_tf import cifd
from indistill_tf import data
from indistill_tf import models
from indistill_tf.data.captions.pairs import Pairs
from indistill_tf.training import work_directory
from indistill_tf.training.checkpoint import Checkpoint

logger = logging.getLogger("indistill_tf")

NAMES = ("image_student.keras", "text_student.keras")


@dataclasses.dataclass(frozen=True)
class Teaching:
    """What a student pair is taught by.

    Attributes:
        pairs: `Pairs` with a teacher's embeddings.
        modules: pair of `RateDistortionModules` of images and of texts, or
            None for the teacher alone.
        contrastive_weight: float, of the contrastive loss beside the teacher.
        dropout: float, see `EmbeddingMatching`.
        reduction: string, see `EmbeddingMatching`.
    """

    pairs: Pairs
    modules: tuple | None = None
    contrastive_weight: float = 0.005
    dropout: float = 0.25
    reduction: str = "mean"

    def matchings(self):
        """Returns the two `EmbeddingMatching`, of images and of texts."""
        return [
            cifd.EmbeddingMatching(
                modules, dropout=self.dropout, reduction=self.reduction
            )
            for modules in self.modules or (None, None)
        ]


def run_pair(
    folder,
    build,
    task,
    recipe,
    seed=0,
    teaching=None,
    information_bottleneck=0.0,
    role="student",
):
    """Trains, scores and saves one pair; goes on where it was interrupted.

    The folder ends up with `history.csv`, the two towers and, written last,
    `result.json`. A folder with a result is finished: nothing is trained.

    Args:
        folder: where the files go.
        build: function returning a new pair of towers.
        task: `PairTask`.
        recipe: `PairRecipe`.
        seed: int, of initial weights, noise and data order. Defaults to 0.
        teaching: `Teaching`, or None for contrastive training alone.
        information_bottleneck: float, the weight of the rate of noisy
            embeddings, see `indistill_tf.cifd.with_bottleneck`. The towers
            that are saved have no noise. Defaults to 0, for none.
        role: string, what the pair is called in messages.

    Returns:
        Tuple of the pair of `keras.Model` and the result dict.

    Raises:
        UserError: if the towers or a file do not fit.
    """
    folder = pathlib.Path(folder)
    if (folder / "result.json").exists():
        logger.info("%s: finished before, not trained again", role)
        result = work_directory.read_json(folder / "result.json")
        return [models.load_model(folder / name) for name in NAMES], result
    keras.utils.set_random_seed(seed)
    towers = build()
    pair = make_pair(towers, task, recipe, teaching, information_bottleneck)
    checkpoint = Checkpoint(folder)
    pairs = task.train if teaching is None else teaching.pairs
    _train(pair, pairs, recipe, seed, checkpoint, role)
    for tower, name in zip(towers, NAMES, strict=True):
        with work_directory.replacing(folder / name) as temporary:
            tower.save(temporary)
    seconds = [row["seconds"] for row in checkpoint.rows]
    result = {
        "models": [tower.name for tower in towers],
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "seconds_per_epoch": float(np.median(seconds)),
        "checksums": [work_directory.checksum(tower) for tower in towers],
        "contrastive_weight": pair.contrastive_weight,
        "information_bottleneck": information_bottleneck,
        "temperature": float(pair.temperature.value()),
        "scores": task.score(*towers),
        "captions": task.captions.describe(),
        **work_directory.environment(),
    }
    result = work_directory.write_json(folder / "result.json", result)
    checkpoint.remove()
    return towers, result


def make_pair(towers, task, recipe, teaching=None, information_bottleneck=0.0):
    """Returns the compiled `PairDistiller` of a pair of towers.

    Args:
        towers: pair of `keras.Model`.
        task: `PairTask`.
        recipe: `PairRecipe`.
        teaching: `Teaching`, or None. Defaults to None.
        information_bottleneck: see `run_pair`. Defaults to 0.

    Raises:
        UserError: if the towers do not fit.
    """
    if information_bottleneck:
        towers = [
            cifd.with_bottleneck(tower, information_bottleneck)
            for tower in towers
        ]
    if teaching is None:
        pair = cifd.PairDistiller(*towers)
    else:
        pair = cifd.PairDistiller(
            *towers,
            *teaching.matchings(),
            contrastive_weight=teaching.contrastive_weight,
        )
    variables = pair.trainable_variables
    steps = task.train.steps(recipe.batch_size)
    pair.compile(optimizer=recipe.optimizer(steps, variables))
    pair.optimizer.build(variables)
    return pair


def _train(pair, pairs, recipe, seed, checkpoint, role):
    first_epoch = checkpoint.restore(pair)
    if first_epoch >= recipe.epochs:
        return
    logger.info(
        "%s: training, epochs %d to %d", role, first_epoch + 1, recipe.epochs
    )
    pair.fit(
        pairs.training(
            data.Order(
                recipe.batch_size, seed, first_epoch, drop_remainder=True
            ),
            data.Crop(recipe.padding, recipe.flip),
        ),
        epochs=recipe.epochs,
        initial_epoch=first_epoch,
        steps_per_epoch=pairs.steps(recipe.batch_size),
        callbacks=[checkpoint],
        shuffle=False,
        # A bar that redraws itself makes a log file unreadable.
        verbose=1 if sys.stdout.isatty() else 2,
    )
