"""Rate-distortion modules of a teacher: trained, measured and saved."""

import dataclasses
import functools
import logging
import time

import keras
import numpy as np

from indistill_tf import cifd
from indistill_tf.data import ImageSet
from indistill_tf.errors import UserError
from indistill_tf.evaluation import outputs
from indistill_tf.graph import endpoints
from indistill_tf.hints import Path
from indistill_tf.options import option
from indistill_tf.training import progress
from indistill_tf.training import work_directory
from indistill_tf.training.once import trained_by_chief

logger = logging.getLogger("indistill_tf")

FILE = "modules.keras"


@dataclasses.dataclass(frozen=True)
class ModulesRecipe:
    """How modules are made from a teacher.

    Attributes:
        trade_offs: floats above 0, the R of each module; empty to find them by
            `points_below`. Defaults to `()`.
        points_below: floats, percentage points by which each module's accuracy
            is to lie under the teacher's, see `cifd.calibrate`. Defaults to
            `(2, 4, 8)`.
        tolerance: float, by how many points an accuracy may miss that.
            Defaults to 0.5.
        architecture: a name in `cifd.ARCHITECTURES`. Defaults to
            `"cifar_pair"`.
        epochs: int, of each training. Defaults to 10; the paper has 30, of
            batches it says nothing of.
        batch_size: int. Defaults to 256.
        learning_rate: float, of Adam, falling to 0 along a cosine. Defaults
            to 5e-3. The paper does not give it.
        held_out: float, the part of the training images that modules are
            measured on and not trained on. Defaults to 0.05, as in the paper.
        options: dict, further arguments of `RateDistortionModules`, as in
            `cifd.OPTIONS`. Defaults to a tenth of the classification's
            weights (ours), which leaves R more to say about accuracy.

    Raises:
        UserError: if there is nothing to train or to measure on.
    """

    trade_offs: tuple[float, ...] = option(
        (), "R of each module; found by default, from"
    )
    points_below: tuple[float, ...] = option(
        (2.0, 4.0, 8.0), "its accuracy, in points below the teacher's"
    )
    tolerance: float = option(0.5, "points by which it may miss these")
    architecture: str = option("cifar_pair", "of the modules")
    epochs: int = option(10, "on the teacher's embeddings", at_least=1)
    batch_size: int = option(256, "embeddings a step", at_least=1)
    learning_rate: float = option(5e-3, "of Adam; it falls along a cosine")
    held_out: float = option(0.05, "part of the training images, to measure on")
    options: dict = dataclasses.field(
        default_factory=lambda: {"ce_weight": 0.1, "kl_weight": 0.1}
    )

    def __post_init__(self):
        if not self.count or self.epochs < 1 or not 0 < self.held_out < 1:
            raise UserError(
                "Modules need a trade-off or points below the teacher each, at "
                "least one epoch, and a part held out between 0 and 1. "
                f"Received: {self}"
            )

    @property
    def count(self):
        """The number of modules."""
        return len(self.trade_offs or self.points_below)

    def build(
        self, teacher: keras.Model, seed: int = 0
    ) -> cifd.RateDistortionModules:
        """Returns untrained modules for a teacher.

        Args:
            teacher: functional `keras.Model`.
            seed: int, of the noise. Defaults to 0.

        Raises:
            UserError: if an option is unknown or out of range.
        """
        teacher = endpoints.flattened(teacher)
        return cifd.RateDistortionModules(
            self.trade_offs or [1.0] * self.count,
            endpoints.endpoint(teacher, "embedding").shape[-1],
            endpoints.endpoint(teacher, "logits").shape[-1],
            self.architecture,
            noise_seed=seed,
            **self.options,
        )


def train_modules(
    folder: Path,
    images: ImageSet,
    teacher: keras.Model,
    recipe: ModulesRecipe,
    seed: int = 0,
) -> tuple[cifd.RateDistortionModules, dict]:
    """Trains modules on a teacher's embeddings, which are computed once.

    The folder ends up with `modules.keras` and, written last, `result.json`.
    A folder with a result is finished: nothing is trained.

    Args:
        folder: where the files go.
        images: `indistill_tf.data.ImageSet`; modules see the embeddings of its
            training images, without augmentation.
        teacher: functional `keras.Model`.
        recipe: `ModulesRecipe`.
        seed: int, of weights, noise, order and what is held out. Defaults to
            0.

    Returns:
        Tuple of `cifd.RateDistortionModules` and the result dict.

    Raises:
        UserError: if an option is out of range, or an accuracy asked for out
            of reach.

    References:
        - CIFD, NeurIPS 2024, sec. 3 and the appendix
    """
    (modules,), result = trained_by_chief(
        folder,
        "modules",
        [FILE],
        seed,
        functools.partial(_train_and_measure, images, teacher, recipe, seed),
    )
    return modules, result


def _train_and_measure(images, teacher, recipe, seed):
    modules = recipe.build(teacher, seed)
    started = time.perf_counter()
    train, held_out = _halves(images, teacher, recipe.held_out, seed)
    embedded = time.perf_counter()
    steps = -(-len(train[1]) // recipe.batch_size) * recipe.epochs
    modules.compile(falling_adam(recipe.learning_rate, steps))
    logger.info("modules: %d on %d embeddings", recipe.count, len(train[1]))
    rounds = _train(modules, train, held_out, recipe, seed)
    result = {
        "model": modules.name,
        "recipe": dataclasses.asdict(recipe),
        "trade_offs": [float(r) for r in np.array(modules.trade_offs)],
        "teacher_accuracy": _accuracy(*held_out),
        "scores": _measure(modules, *held_out),
        "held_out": len(held_out[1]),
        "calibration": rounds,
        "parameters": modules.count_params(),
        "seconds_embedding": embedded - started,
        "seconds_training": time.perf_counter() - embedded,
        "checksum": work_directory.checksum(modules),
        "teacher_checksum": work_directory.checksum(teacher),
        "images": images.describe(),
    }
    for line in summary(result).splitlines():
        logger.info("%s", line)
    return [modules], result


def falling_adam(rate: float, steps: int) -> keras.Optimizer:
    """Returns Adam with a rate that falls to 0 along a cosine.

    Args:
        rate: float, at first.
        steps: int.
    """
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    return keras.optimizers.Adam(schedule)


def summary(result: dict) -> str:
    """Returns a text table of modules, one line each.

    Args:
        result: what `train_modules` recorded.
    """
    lines = [
        f"teacher: accuracy {100 * result['teacher_accuracy']:.2f} on "
        f"{result['held_out']} images held out"
    ]
    for number, trade_off in enumerate(result["trade_offs"]):
        values = [
            f"{name} {100 * value[number]:.2f}"
            if name == "accuracy"
            else f"{name} {value[number]:.2f}"
            for name, value in sorted(result["scores"].items())
        ]
        line = f"module {number + 1}: R {trade_off:g}, {', '.join(values)}"
        lines.append(line)
    return "\n".join(lines)


def _halves(images, teacher, held_out, seed):
    """Returns what modules read, and labels: to train on, and held out."""
    read = outputs(teacher, images.train, images.preprocessing)
    labels = np.asarray(images.train.labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    count = max(round(held_out * len(order)), 1)

    def part(rows):
        return {name: read[name][rows] for name in read}, labels[rows]

    return part(np.sort(order[count:])), part(np.sort(order[:count]))


def _train(modules, train, held_out, recipe, seed):
    """Trains modules, and returns the rounds of their calibration."""
    if not recipe.trade_offs:
        calibration = cifd.calibrate(
            modules,
            train,
            held_out,
            recipe.points_below,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            tolerance=recipe.tolerance,
            seed=seed,
        )
        return calibration.rounds
    batches = cifd.EmbeddingBatches(*train, recipe.batch_size, seed)
    modules.fit(
        batches,
        epochs=recipe.epochs,
        shuffle=False,
        callbacks=progress.reports("modules", recipe.epochs),
        verbose=progress.verbosity(),
    )
    return ()


def _measure(modules, inputs, labels):
    """Returns accuracy, rate and distortion: of each a number a module."""
    logs = modules.evaluate(inputs, labels, verbose=0, return_dict=True)
    scores = {}
    for name, value in logs.items():
        kind, _, module = name.partition("/")
        if module:
            scores.setdefault(kind, []).append(float(value))
    return scores


def _accuracy(inputs, labels):
    return float(np.mean(inputs["logits"].argmax(axis=1) == labels))
