"""One hop: a network trained from labels or from a teacher, and measured."""

import dataclasses
import functools
import logging
import pathlib
import sys

import keras
import numpy as np

from indistill_tf import cifd
from indistill_tf import data
from indistill_tf import models
from indistill_tf.distillation.distiller import Distiller
from indistill_tf.distillation.schedules import CurriculumCallback
from indistill_tf.distribution import replicas
from indistill_tf.evaluation import score
from indistill_tf.training import work_directory
from indistill_tf.training.checkpoint import Checkpoint

logger = logging.getLogger("indistill_tf")


def run_hop(
    folder,
    build_student,
    images,
    recipe,
    seed=0,
    teacher=None,
    role="student",
    data_service=None,
    teacher_cache_views=0,
    teacher_cache=None,
    **distillation,
):
    """Trains, scores and saves one network; goes on where it was interrupted.

    The folder ends up with `history.csv`, `logs/` for TensorBoard,
    `student.keras` and, written last, `result.json`. A folder with a result is
    finished: nothing is trained and the network is read from it. Replicas are
    those of the current `tf.distribute` strategy.

    Args:
        folder: where the hop's files go.
        build_student: function returning a new network.
        images: `indistill_tf.data.ImageSet`.
        recipe: `Recipe`.
        seed: int, of initial weights and data order. Defaults to 0.
        teacher: network to learn from; None trains from labels alone.
        role: string, what the network is called in messages. Defaults to
            `"student"`.
        data_service: string, the address of a tf.data service that prepares
            images in files, see `indistill_tf.data.EncodedSplit.served_by`.
            Defaults to None.
        teacher_cache_views: int, the views of each image whose targets are
            computed once and kept, see `indistill_tf.data.TeacherCache`; 0
            runs the teacher in every step. Defaults to 0.
        teacher_cache: the folder for them. Defaults to `teacher_cache` in
            `folder`.
        **distillation: `information_bottleneck`, see `make_trainer`, and
            `method`, `taps` and `global_batch` of `Distiller`.

    Returns:
        Tuple of the trained `keras.Model` and the result dict.

    Raises:
        UserError: if the networks, the schedule or a file do not fit.
    """
    folder = pathlib.Path(folder)
    if (folder / "result.json").exists():
        logger.info("%s: finished before, not trained again", role)
        result = work_directory.read_json(folder / "result.json")
        return models.load_model(folder / "student.keras"), result
    keras.utils.set_random_seed(seed)
    student = build_student()
    trainer = make_trainer(
        student,
        images,
        recipe,
        teacher,
        teacher_cache_views=teacher_cache_views,
        **distillation,
    )
    checkpoint = Checkpoint(folder)
    open_cache = None
    if teacher is not None and teacher_cache_views:
        open_cache = functools.partial(
            data.TeacherCache,
            teacher_cache or folder / "teacher_cache",
            images.train,
            images.preprocessing,
            _views(teacher_cache_views, images, recipe),
            _targets(trainer),
        )
    with data.naming_damage(images.train, images.validation):
        _train(
            trainer,
            images,
            recipe,
            seed,
            checkpoint,
            role,
            data_service,
            open_cache,
        )
    logger.info("%s: scoring %s", role, student.name)
    result = {
        "model": student.name,
        "method": None if teacher is None else trainer.method.name,
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "replicas": replicas(),
        **_cost(checkpoint.rows, images, recipe),
        "checksum": work_directory.checksum(student),
        "teacher_checksum": teacher and work_directory.checksum(teacher),
        "teacher_cache_views": teacher_cache_views,
        "information_bottleneck": distillation.get(
            "information_bottleneck", 0.0
        ),
        "scores": score(student, images, teacher),
        "images": images.describe(),
        **work_directory.environment(),
    }
    student.optimizer = None
    with work_directory.replacing(folder / "student.keras") as temporary:
        student.save(temporary)
    result = work_directory.write_json(folder / "result.json", result)
    checkpoint.remove()
    return student, result


def make_trainer(
    student,
    images,
    recipe,
    teacher=None,
    teacher_cache_views=0,
    information_bottleneck=0.0,
    **distillation,
):
    """Returns the compiled model whose `fit` trains a student.

    Args:
        student: the network.
        images: `indistill_tf.data.ImageSet`.
        recipe: `Recipe`.
        teacher: network to learn from; None trains from labels alone.
        teacher_cache_views: see `run_hop`; above 0 it is checked that the
            method and the images allow it. Defaults to 0.
        information_bottleneck: float, the weight of the rate of a noisy
            embedding, see `indistill_tf.cifd.with_bottleneck`; the student
            given stays without. Defaults to 0, for none.
        **distillation: `method`, `taps` and `global_batch` of `Distiller`.

    Returns:
        The student itself, with the bottleneck asked for, or a `Distiller`.

    Raises:
        UserError: if the networks do not fit, or the recipe's epochs do not
            suffice for the method's schedule.
    """
    if information_bottleneck:
        student = cifd.with_bottleneck(student, information_bottleneck)
    trainer = student
    if teacher is not None:
        trainer = Distiller(
            teacher=teacher,
            student=student,
            # Asked for where a loss wants them: they may cost a pass.
            train_labels=lambda: images.train.labels,
            **distillation,
        )
        trainer.check_epochs(recipe.epochs)
        if teacher_cache_views:
            data.check_cacheable(images.train, _targets(trainer))
            _views(teacher_cache_views, images, recipe)
    trainer.compile(
        optimizer=recipe.optimizer(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def _train(
    trainer,
    images,
    recipe,
    seed,
    checkpoint,
    role,
    data_service,
    open_cache=None,
):
    first_epoch = checkpoint.restore(trainer)
    epochs, steps = _extent(images, recipe)
    if first_epoch >= epochs:
        return
    logger.info("%s: training, epochs %d to %d", role, first_epoch + 1, epochs)
    trainer.steps_per_execution = recipe.steps_per_execution(
        steps, images.preprocessing.input_shape
    )
    callbacks = [
        keras.callbacks.LearningRateScheduler(recipe.rate),
        checkpoint,
        keras.callbacks.TensorBoard(
            checkpoint.folder / "logs", write_graph=False
        ),
    ]
    if isinstance(trainer, Distiller):
        callbacks.insert(0, CurriculumCallback(recipe.restart_optimizer))
    if epochs < recipe.epochs:
        # Not fewer epochs of `fit`, which a curriculum would find too few.
        callbacks.append(_stop_after(trainer, epochs))
    trainer.fit(
        data.distributed_batches(
            images.train.served_by(data_service),
            images.preprocessing,
            data.Order(
                recipe.batch_size,
                seed,
                first_epoch,
                drop_remainder=_drop_remainder(),
            ),
            _augmentation(images, recipe),
            sample_ids=getattr(trainer, "needs_sample_ids", False),
            cache=open_cache and open_cache(),
        ),
        epochs=recipe.epochs,
        initial_epoch=first_epoch,
        steps_per_epoch=steps,
        validation_data=images.validation
        and data.evaluation_batches(images.validation, images.preprocessing),
        callbacks=callbacks,
        shuffle=False,
        # A bar that redraws itself makes a log file unreadable.
        verbose=1 if sys.stdout.isatty() else 2,
    )


def _stop_after(trainer, epochs):
    def stop(epoch, logs):
        del logs
        trainer.stop_training = epoch + 1 >= epochs

    return keras.callbacks.LambdaCallback(on_epoch_end=stop)


def _cost(rows, images, recipe):
    """Returns what training took: the median epoch's time, and memory."""
    seconds = float(np.median([row["seconds"] for row in rows]))
    epochs, steps = _extent(images, recipe)
    return {
        "epochs": epochs,
        "steps_per_epoch": steps,
        "seconds_per_epoch": seconds,
        "seconds_per_step": seconds / steps,
        "peak_memory_bytes": work_directory.peak_memory(),
    }


def _extent(images, recipe):
    """Returns the epochs of a hop and the batches of each."""
    steps = data.steps(images.train, recipe.batch_size, _drop_remainder())
    return recipe.extent(steps)


def _augmentation(images, recipe):
    return images.train.augmentation(recipe.padding, recipe.flip)


def _views(count, images, recipe):
    return data.Views(count, _augmentation(images, recipe))


def _targets(distiller):
    return data.Targets(distiller.target_names, distiller.teacher_view)


def _drop_remainder():
    # With several replicas a last batch smaller than their number would fail.
    return replicas() > 1
