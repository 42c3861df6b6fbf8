"""The model whose `fit` trains a network, from labels or from a teacher."""

import dataclasses

import keras

from indistill_tf import cifd
from indistill_tf import data
from indistill_tf import losses
from indistill_tf.distillation.distiller import Distiller
from indistill_tf.distillation.networks import check_trainable
from indistill_tf.distillation.schedules import CurriculumCallback
from indistill_tf.errors import UserError
from indistill_tf.evaluation.kept_channels import ranking_images
from indistill_tf.finite_training import loss_scaled
from indistill_tf.graph import heads
from indistill_tf.graph import rankings
from indistill_tf.training.fused_network import FusedNetwork


@dataclasses.dataclass(frozen=True)
class Trainer:
    """A compiled model, and what a hop asks of it.

    Attributes:
        model: `keras.Model`; its `fit` trains the network.
        method: string, the distillation's name, or None for labels alone.
        head: string, what the network's output is.
        pairing: string, which layers are compared; a line each.
        needs_sample_ids: bool, whether the data must say which images a batch
            holds.
        callbacks: list of `keras.callbacks.Callback`.
        targets: `indistill_tf.data.Targets`, what a cache keeps of the
            teacher, or None for a teacher that is computed in every step.
    """

    model: keras.Model
    head: str
    method: str | None = None
    pairing: str = ""
    needs_sample_ids: bool = False
    callbacks: tuple = ()
    targets: data.Targets | None = None

    def with_callbacks(self, more):
        """Returns the trainer with more callbacks behind its own.

        Args:
            more: list of `keras.callbacks.Callback`.
        """
        return dataclasses.replace(self, callbacks=(*self.callbacks, *more))


def make_trainer(
    network, run, recipe, teacher=None, distillation=None, watched=True
):
    """Returns what trains a network.

    Args:
        network: functional `keras.Model`.
        run: `Run`. Where it caches the teacher's targets, it is checked that
            the method and the images allow it.
        recipe: `Recipe`.
        teacher: network to learn from, or None for labels alone. Defaults to
            None.
        distillation: `Distillation` from the teacher, or None without one.
            Defaults to None.
        watched: bool, whether `fit` reports the output's accuracy. Defaults to
            True.

    Returns:
        `Trainer`.

    Raises:
        UserError: if the networks do not fit or the one to train is wholly
            frozen, or the recipe's epochs do not suffice for the method's
            schedule.
    """
    # What does not fit the images is refused before the first epoch.
    augmentation(run, recipe)
    if teacher is None:
        check_trainable(network)
        head = heads.decide(network)
        model = _compiled(FusedNetwork(network), recipe, head, watched)
        trainer = Trainer(model, head.told)
    else:
        trainer = _taught(network, run, recipe, teacher, distillation, watched)
    _check_classes(network, trainer.head, run.images.num_classes)
    return trainer


def _taught(network, run, recipe, teacher, distillation, watched):
    weight = distillation.information_bottleneck
    distiller = Distiller(
        teacher=teacher,
        student=cifd.with_bottleneck(network, weight) if weight else network,
        method=_ranked(distillation.method, run.images),
        taps=distillation.taps,
        taps_resize=distillation.taps_resize,
        # Asked for where a loss wants them: they may cost a pass.
        train_labels=lambda: run.images.train.labels,
        global_batch=distillation.global_batch,
    )
    distiller.check_epochs(recipe.epochs)
    targets = None
    if run.teacher_cache_views:
        targets = data.Targets(distiller.target_names, distiller.teacher_view)
        data.check_cacheable(run.images.train, targets)
        views(run, recipe)
    return Trainer(
        _compiled(distiller, recipe, distiller.output_head(), watched),
        distiller.student_head,
        method=distiller.method.name,
        pairing=distiller.pairing,
        needs_sample_ids=distiller.needs_sample_ids,
        callbacks=(CurriculumCallback(recipe.restart_optimizer),),
        targets=targets,
    )


def _ranked(method, images):
    """Returns a method whose ranking has the images that it needs, if any."""
    if method.ranking not in rankings.OF_IMAGES:
        return method
    ranking = rankings.RANKINGS[method.ranking](ranking_images(images))
    return dataclasses.replace(method, ranking=ranking)


def _compiled(model, recipe, head, watched):
    model.compile(
        optimizer=loss_scaled(recipe.optimizer(), model),
        loss=recipe.supervised_loss(head),
        metrics=[losses.accuracy(head)] if watched else [],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _check_classes(network, head, classes):
    units = heads.output_of(network).shape[-1]
    if head == heads.SIGMOID and units == 1 and classes != 2:
        raise UserError(
            f"Model {network.name!r} has one sigmoid, which tells two classes "
            f"apart. The images have {classes}; give it a unit for each, or "
            "keep two classes."
        )


def augmentation(run, recipe):
    """Returns how a run's training images are changed at random.

    Args:
        run: `Run`.
        recipe: `Recipe`.
    """
    return run.images.train.augmentation(recipe.padding, recipe.flip)


def views(run, recipe):
    """Returns the views of each image that a teacher cache holds.

    Args:
        run: `Run`.
        recipe: `Recipe`.
    """
    return data.Views(run.teacher_cache_views, augmentation(run, recipe))
