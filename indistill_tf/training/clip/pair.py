"""One pair of towers trained, measured and saved."""

import dataclasses
from collections.abc import Sequence

import keras

from indistill_tf import cifd
from indistill_tf import data
from indistill_tf.distribution import replicas
from indistill_tf.hints import Path
from indistill_tf.training import work_directory
from indistill_tf.training.checkpoint import Checkpoint
from indistill_tf.training.clip.distillation import PairDistillation
from indistill_tf.training.clip.distillation import PairTeacher
from indistill_tf.training.clip.recipe import PairRecipe
from indistill_tf.training.clip.task import PairTask
from indistill_tf.training.fitting import fit_on
from indistill_tf.training.once import trained_once
from indistill_tf.training.run import STUDENT

FILES = ("image_model.keras", "text_model.keras")


@dataclasses.dataclass(frozen=True)
class Towers:
    """What a pair of towers is.

    Attributes:
        image: a name that `indistill_tf.models.build` knows, or a `.keras`
            file of a tower.
        text: a name that `indistill_tf.models.build_text` knows, or a `.keras`
            file of a tower.
        weights: file of both towers' weights, such as open_clip's, see
            `indistill_tf.models.load_weights`, or None.
        epochs: int, or None for the recipe's.
        embedding_size: int, the width that towers by name are given, or None
            for the one that both networks have.
    """

    image: str
    text: str
    weights: Path | None = None
    epochs: int | None = None
    embedding_size: int | None = None

    @property
    def is_trained(self):
        """Whether files hold the weights."""
        names = (self.image, self.text)
        return self.weights is not None or any(
            str(name).endswith(".keras") for name in names
        )

    def build(self, task: PairTask) -> tuple[keras.Model, keras.Model]:
        """Returns a new pair of `keras.Model`, or the one in files.

        Args:
            task: `PairTask`.

        Raises:
            UserError: if a name is unknown, or a file does not fit.
        """
        return task.towers(
            self.image, self.text, self.embedding_size, self.weights
        )


@dataclasses.dataclass(frozen=True)
class PairHop:
    """A pair of towers to train, and how.

    Attributes:
        towers: `Towers`.
        recipe: `PairRecipe`.
        distillation: `PairDistillation`, or None for contrastive training
            alone.
        role: string, what the pair is called.
    """

    towers: Towers
    recipe: PairRecipe
    distillation: PairDistillation | None = None
    role: str = STUDENT


def run_pair(
    folder: Path,
    task: PairTask,
    hop: PairHop,
    seed: int = 0,
    teacher: PairTeacher | None = None,
    checkpoint_steps: int | None = None,
) -> tuple[list[keras.Model], dict]:
    """Trains, scores and saves one pair; goes on where it was interrupted.

    The folder ends up with `history.csv`, the two towers and, written last,
    `result.json`. A folder with a result is finished: nothing is trained.

    Args:
        folder: where the files go.
        task: `PairTask`.
        hop: `PairHop`.
        seed: int, of initial weights, noise and data order. Defaults to 0.
        teacher: `PairTeacher`, or None without one. Defaults to None.
        checkpoint_steps: int, steps from one checkpoint within an epoch to the
            next. Defaults to None: one after each epoch.

    Returns:
        Tuple of the pair of `keras.Model` and the result dict.

    Raises:
        UserError: if the towers or a file do not fit.
    """

    def train():
        towers = hop.towers.build(task)
        pair = make_pair(towers, task, hop, teacher)
        checkpoint = Checkpoint(folder, checkpoint_steps)
        _fit(
            pair,
            teacher.pairs if teacher else task.train,
            hop,
            seed,
            checkpoint,
        )
        steps = task.train.steps(hop.recipe.batch_size)
        costs = work_directory.costs(checkpoint.rows, hop.recipe.epochs, steps)
        return towers, {**_described(towers, pair, task, hop), **costs}

    return trained_once(folder, hop.role, FILES, seed, train)


def make_pair(
    towers: Sequence[keras.Model],
    task: PairTask,
    hop: PairHop,
    teacher: PairTeacher | None = None,
) -> cifd.PairDistiller:
    """Returns the compiled `PairDistiller` of a pair of towers.

    Args:
        towers: pair of `keras.Model`.
        task: `PairTask`.
        hop: `PairHop`.
        teacher: `PairTeacher`, or None. Defaults to None.

    Raises:
        UserError: if the towers do not fit.
    """
    distillation = hop.distillation
    bottleneck = distillation and distillation.information_bottleneck
    if bottleneck:
        towers = [cifd.with_bottleneck(tower, bottleneck) for tower in towers]
    if teacher is None:
        pair = cifd.PairDistiller(*towers)
    else:
        pair = cifd.PairDistiller(
            *towers,
            *distillation.matchings(teacher),
            contrastive_weight=distillation.contrastive_weight,
        )
    variables = pair.trainable_variables
    steps = task.train.steps(hop.recipe.batch_size)
    pair.compile(optimizer=hop.recipe.optimizer(steps, variables))
    pair.optimizer.build(variables)
    return pair


def _fit(pair, pairs, hop, seed, checkpoint):
    recipe = hop.recipe

    def batches(begin):
        order = data.Order(
            recipe.batch_size,
            seed,
            begin.epoch,
            begin.step,
            drop_remainder=True,
        )
        crop = data.Crop(recipe.padding, recipe.flip)
        return data.distributed(
            lambda order: pairs.training(order, crop), order
        )

    fit_on(
        pair,
        batches,
        checkpoint,
        hop.role,
        epochs=recipe.epochs,
        steps=pairs.steps(recipe.batch_size),
        callbacks=[checkpoint],
    )


def _described(towers, pair, task, hop):
    """Returns what there is to record of a trained pair, but its costs."""
    bottleneck = hop.distillation and hop.distillation.information_bottleneck
    return {
        "models": [tower.name for tower in towers],
        "recipe": dataclasses.asdict(hop.recipe),
        "replicas": replicas(),
        "checksums": [work_directory.checksum(tower) for tower in towers],
        "contrastive_weight": pair.contrastive_weight,
        "information_bottleneck": bottleneck or 0.0,
        "temperature": float(pair.temperature.value()),
        "scores": task.score(*towers),
        "captions": task.captions.describe(),
    }
