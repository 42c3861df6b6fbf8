"""One hop: a network trained from labels or from a teacher, and measured."""

import dataclasses
import logging

import keras
import tensorflow as tf

from indistill_tf import data
from indistill_tf import deploy
from indistill_tf.distribution import is_chief
from indistill_tf.distribution import replicas
from indistill_tf.evaluation import DETAILS_FILE
from indistill_tf.evaluation import score
from indistill_tf.training import compression
from indistill_tf.training import precision
from indistill_tf.training import teacher_score
from indistill_tf.training import work_directory
from indistill_tf.training.checkpoint import Checkpoint
from indistill_tf.training.distillation import Distillation
from indistill_tf.training.fitting import fit_on
from indistill_tf.training.networks import Network
from indistill_tf.training.once import trained_once
from indistill_tf.training.recipe import Recipe
from indistill_tf.training.run import STUDENT
from indistill_tf.training.run import Run
from indistill_tf.training.trainer import augmentation
from indistill_tf.training.trainer import make_trainer
from indistill_tf.training.trainer import views
from indistill_tf.training.validation import ValidationScores

logger = logging.getLogger("indistill_tf")

MODEL = "model.keras"
TEACHER = "teacher"


@dataclasses.dataclass(frozen=True)
class Hop:
    """A network to train, how, and what from.

    Attributes:
        network: `Network`, or whatever else has a `build`.
        recipe: `Recipe`.
        distillation: `Distillation`, or None to train from labels alone.
        role: string, what the network is called.
        teachers: roles of the networks of a chain that teach it together, the
            first of them first.
        compression: a name of `indistill_tf.training.COMPRESSIONS`, by which
            the network is compressed while it is trained, or None.
    """

    network: Network
    recipe: Recipe
    distillation: Distillation | None = None
    role: str = STUDENT
    teachers: tuple = ()
    compression: str | None = None


def run_hop(
    run: Run, hop: Hop, teacher: keras.Model | None = None
) -> tuple[keras.Model, dict]:
    """Trains, scores and saves one network; goes on where it was interrupted.

    The folder ends up with `history.csv`, `logs/` for TensorBoard,
    `evaluation.npz`, `model.keras` and, written last, `result.json`. A folder
    with a result is finished: nothing is trained and the network is read from
    it. Replicas are those of the current `tf.distribute` strategy.

    Args:
        run: `Run`, in whose folder the files go.
        hop: `Hop`.
        teacher: network to learn from; None trains from labels alone.

    Returns:
        Tuple of the trained `keras.Model` and the result dict.

    Raises:
        UserError: if the networks, the schedule or a file do not fit, an
            image cannot be decoded, or a loss, a weight or an output of the
            teacher is not finite.
    """

    def train():
        run.images.check_measured()
        student, callbacks = _begun(hop, run.images)
        trainer = make_trainer(
            student, run, hop.recipe, teacher, hop.distillation
        ).with_callbacks(callbacks)
        if teacher is not None:
            role = (*hop.teachers, TEACHER)[0]
            teacher_score.measure(teacher, run.images, role)
        checkpoint = Checkpoint(run.folder, run.checkpoint_steps)
        with data.naming_damage(run.images.train, run.images.validation):
            _fit(trainer, student, run, hop, checkpoint, teacher)
        if hop.compression:
            student = deploy.strip(student)
        logger.info("%s: scoring %s", hop.role, student.name)
        record = _recorded(student, trainer, run, hop, teacher)
        epochs, steps = extent(run, hop.recipe)
        costs = work_directory.costs(checkpoint.rows, epochs, steps)
        restored = {"restored": checkpoint.restored}
        return [student], {**record, **restored, **costs}

    if run.deterministic:
        tf.config.experimental.enable_op_determinism()
    with precision.computing_in(run.precision):
        (student,), result = trained_once(
            run.folder, hop.role, [MODEL], run.seed, train
        )
    return student, result


def _begun(hop, images):
    """Returns the network that `fit` trains, and callbacks that it needs."""
    network = hop.network.build(images)
    if hop.compression is None:
        return network, []
    chosen = compression.get(hop.compression)
    clone = chosen.clone(network)
    return clone, chosen.callbacks(clone)


def _fit(trainer, student, run, hop, checkpoint, teacher):
    recipe, preprocessing = hop.recipe, run.images.preprocessing
    epochs, steps = extent(run, recipe)

    def batches(begin):
        return data.distributed_batches(
            run.images.train.served_by(run.data_service),
            preprocessing,
            data.Order(
                recipe.batch_size,
                run.seed,
                begin.epoch,
                begin.step,
                drop_remainder=_drop_remainder(),
            ),
            augmentation(run, recipe),
            sample_ids=trainer.needs_sample_ids,
            cache=_open_cache(trainer, run, recipe),
        )

    def rate(epoch):
        return recipe.rate(epoch) * 0.5 ** len(checkpoint.restored)

    validation = run.images.validation
    trainer.model.steps_per_execution = recipe.steps_per_execution(
        steps, preprocessing.input_shape, run.checkpoint_steps
    )
    fit_on(
        trainer.model,
        batches,
        checkpoint,
        hop.role,
        epochs=recipe.epochs,
        last_epoch=epochs,
        steps=steps,
        callbacks=[
            *trainer.callbacks,
            keras.callbacks.LearningRateScheduler(rate),
            *_evaluation(student, run, epochs, teacher),
            checkpoint,
            *_logs(run),
        ],
        validation=validation
        and data.distributed_evaluation(validation, preprocessing),
        on_nan=run.on_nan,
    )


def _evaluation(student, run, last_epoch, teacher):
    """Returns the callbacks that score the student on the way."""
    every = run.evaluate_every
    if every is None:
        return []
    return [ValidationScores(student, run.images, every, last_epoch, teacher)]


def _logs(run):
    if not is_chief():
        return []
    return [keras.callbacks.TensorBoard(run.folder / "logs", write_graph=False)]


def _open_cache(trainer, run, recipe):
    if trainer.targets is None:
        return None
    folder = run.cache_folder
    if run.precision != precision.FLOAT32:
        # What a teacher says in another precision is something else.
        folder = folder / run.precision
    return data.TeacherCache(
        folder,
        run.images.train,
        run.images.preprocessing,
        views(run, recipe),
        trainer.targets,
    )


def _recorded(student, trainer, run, hop, teacher):
    """Returns what there is to record of a trained student, but its costs."""
    bottleneck = hop.distillation and hop.distillation.information_bottleneck
    return {
        "model": student.name,
        "method": trainer.method,
        "head": trainer.head,
        "compression": hop.compression,
        "recipe": dataclasses.asdict(hop.recipe),
        "replicas": replicas(),
        "precision": run.precision,
        "deterministic": run.deterministic,
        "checksum": work_directory.checksum(student),
        "teacher_checksum": teacher and work_directory.checksum(teacher),
        "teacher_cache_views": run.teacher_cache_views,
        "information_bottleneck": bottleneck or 0.0,
        "scores": score(
            student,
            run.images,
            teacher,
            details_path=run.folder / DETAILS_FILE,
        ),
        "images": run.images.describe(),
    }


def extent(run, recipe):
    """Returns the epochs of a hop and the batches of each.

    Args:
        run: `Run`.
        recipe: `Recipe`.
    """
    steps = data.steps(run.images.train, recipe.batch_size, _drop_remainder())
    return recipe.extent(steps)


def _drop_remainder():
    # With several replicas a last batch smaller than their number would fail.
    return replicas() > 1
