"""Training steps a second, stage by stage."""

import functools
import itertools

import keras
import tensorflow as tf
from keras import ops

from indistill_tf import endpoints
from indistill_tf import losses
from indistill_tf import models
from indistill_tf import pruning
from indistill_tf.graph import pruned_maps
from indistill_tf.training import Recipe
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired
from indistill_tf_tools.benchmarks.paired import scheduled

_TEMPERATURE = 4.0


def steps(data_dir=None, repeats=5, count=20):
    """Measures the step of each stage, and of the whole schedule.

    CNN-S learns from CNN-A in batches of 128 images of 32 x 32: one tap after
    the other, then the softened logits, for 3, 4, 5 and 58 epochs. Nobody else
    has stages, so the others compute all losses in each step:
    `keras.distillation.Distiller` with a loss for each tap and one for the
    logits, and a loop written for the purpose, one pass of each network.
    All three compare the same channels of the teacher.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of one measurement. Defaults to 20.

    Returns:
        Dict from rows (`stage 1 / keras.distillation`, ...) to what `paired`
        returns, of steps a second.
    """
    del data_dir
    data = networks.batches()
    distiller = networks.make_distiller()
    others = {
        "keras.distillation": networks.step_function(
            _keras_distiller(distiller), data
        ),
        "plain loop": _plain_loop(distiller, data),
    }
    epochs = networks.stage_epochs(distiller)
    firsts = [0, *itertools.accumulate(epochs)][:-1]
    stages = [
        networks.step_function(distiller, data, first) for first in firsts
    ]
    rows = {}
    for number, stage in enumerate(stages, start=1):
        for name, other in others.items():
            rows[f"stage {number} / {name}"] = paired(
                functools.partial(stage, count),
                functools.partial(other, count),
                count,
                repeats,
            )

    def schedule():
        for stage, share in zip(stages, epochs):
            stage(share)

    total = sum(epochs)
    for name, other in others.items():
        rows[f"schedule / {name}"] = paired(
            schedule, functools.partial(other, total), total, repeats
        )
    return rows


def fits(data_dir=None, repeats=5, count=180):
    """Measures an epoch of each stage as users train it.

    The networks and losses of `steps`, on the same prepared batches: `fit` of
    this package with as many steps a call as its tools choose, against `fit`
    of `keras.distillation.Distiller` with what Keras chooses.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of an epoch. Defaults to 180.

    Returns:
        Dict from stages to what `paired` returns, of steps a second, and
        `schedule` to that of all epochs (see `scheduled`).
    """
    del data_dir
    data = networks.batches()
    chosen = Recipe(batch_size=networks.BATCH).steps_per_execution(
        count, networks.SHAPE
    )
    distiller = networks.make_distiller(steps_per_execution=chosen)
    other = functools.partial(
        _keras_distiller(distiller).fit,
        data,
        steps_per_epoch=count,
        shuffle=False,
        verbose=0,
    )
    epochs = networks.stage_epochs(distiller)
    rows = {}
    for number, last in enumerate(itertools.accumulate(epochs), start=1):
        first = last - epochs[number - 1]
        ours = networks.one_epoch(distiller, data, first, count)
        rows[f"stage {number}"] = paired(ours, other, count, repeats)
    return {**rows, "schedule": scheduled(list(rows.values()), epochs)}


def _kept(distiller, tap):
    target = endpoints.endpoint(distiller.teacher_view(), tap.teacher_layer)
    feature = endpoints.endpoint(distiller.student, tap.student_layer)
    scores = pruned_maps.channel_scores(target)
    return pruning.highest(scores, feature.shape[-1])


def _new_student():
    return models.build("cnn_s", networks.SHAPE, networks.CLASSES)


def _keras_distiller(distiller):
    """Returns what a user of `keras.distillation` can write."""
    from keras import distillation

    found = []
    for tap in distiller.taps:
        kept = _kept(distiller, tap)
        loss = distillation.FeatureDistillation(
            loss=lambda target, feature, kept=kept: losses.feature_mse(
                ops.take(target, kept, axis=-1), feature
            ),
            teacher_layer_name=tap.teacher_layer,
            student_layer_name=tap.student_layer,
        )
        # It wants equal widths; the loss takes care of that.
        loss.validate_model_compatibility = lambda *models: None
        found.append(loss)
    found.append(
        distillation.LogitsDistillation(
            temperature=_TEMPERATURE, loss=keras.losses.KLDivergence()
        )
    )
    model = distillation.Distiller(
        teacher=distiller.teacher_view(),
        student=_new_student(),
        distillation_losses=found,
        distillation_loss_weights=[1.0] * len(found),
        student_loss_weight=0.0,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    model.build((None, *networks.SHAPE))
    return model


def _plain_loop(distiller, data):
    """Returns a `tf.function` that computes every loss in every step."""
    pairs, student = distiller.taps, _new_student()
    kept = [_kept(distiller, tap) for tap in pairs]
    names = (
        [tap.teacher_layer for tap in pairs],
        [tap.student_layer for tap in pairs],
    )
    teach = endpoints.named_view(
        distiller.teacher_view(), [*names[0], "logits"]
    )
    learn = endpoints.named_view(student, [*names[1], "logits"])
    optimizer = keras.optimizers.Adam()
    optimizer.build(student.trainable_variables)
    iterator = iter(data)

    @tf.function
    def step():
        images, _ = next(iterator)
        targets = teach(images, training=False)
        with tf.GradientTape() as tape:
            features = learn(images, training=True)
            loss = losses.softened_kl(
                targets["logits"], features["logits"], _TEMPERATURE
            )
            for theirs, mine, channels in zip(*names, kept):
                target = ops.take(targets[theirs], channels, axis=-1)
                loss += losses.feature_mse(target, features[mine])
        variables = student.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def run(count):
        for _ in range(count):
            loss = step()
        return float(loss)

    return run
