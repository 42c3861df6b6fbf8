"""Batches for training and evaluation, of images in memory or in files."""

import dataclasses
import functools
import math
from collections.abc import Callable

import tensorflow as tf

from indistill_tf.data.augmentation import Augmentation
from indistill_tf.data.images.image_split import ImageSplit
from indistill_tf.data.order import Order
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.data.teacher_cache.cache import TeacherCache
from indistill_tf.distribution import replicas
from indistill_tf.distribution import share
from indistill_tf.distribution import workers
from indistill_tf.errors import UserError

_MOST_IMAGES = 500


def training_batches(
    split: ImageSplit,
    preprocessing: Preprocessing,
    order: Order,
    augmentation: Augmentation,
    sample_ids: bool = False,
    cache: TeacherCache | None = None,
) -> tf.data.Dataset:
    """Returns shuffled, augmented batches, epoch after epoch.

    What an epoch contains depends on the order's seed and the epoch's number
    alone, so a run resumed within epoch e sees the images that the undisturbed
    run saw. Give `fit` the `steps_per_epoch` of `steps`.

    Args:
        split: `Split` or `EncodedSplit`.
        preprocessing: `Preprocessing`, which normalises the images.
        order: `Order`, which images come when.
        augmentation: `Crop` of a `Split`, `RandomResizedCrop` of an
            `EncodedSplit`; see their `augmentation`.
        sample_ids: bool, whether images come with their positions in the
            split, as `{"image": images, "sample_id": positions}`. Defaults to
            False.
        cache: `indistill_tf.data.TeacherCache` of the split and the
            preprocessing. Then the images are its views, and come with the
            teacher's targets, as `{"image": images, "targets": targets}`.
            Defaults to None.

    Returns:
        `tf.data.Dataset` of `(images [N, H, W, C] float32, labels [N])`.

    Raises:
        UserError: if the augmentation does not fit the split or the cache, or
            the split's data service cannot read its files.
    """
    if cache is None:
        batches = split.training(order, augmentation)
    else:
        cache.views.check(augmentation)
        batches = cache.training(order)

    def finish(images, labels, positions, targets=None):
        images = preprocessing.normalize(images)
        more = {"sample_id": positions} if sample_ids else {}
        if targets is not None:
            more["targets"] = targets
        return {"image": images, **more} if more else images, labels

    batches = order.from_first_step(batches)
    return ahead(batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE))


def distributed_batches(
    split: ImageSplit,
    preprocessing: Preprocessing,
    order: Order,
    augmentation: Augmentation,
    sample_ids: bool = False,
    cache: TeacherCache | None = None,
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns `training_batches` for the current `tf.distribute` strategy.

    Each worker then loads its share alone.

    Args:
        split: `Split` or `EncodedSplit`.
        preprocessing: `Preprocessing`.
        order: `Order` of one worker, whose batches are those over all
            replicas.
        augmentation: see `training_batches`.
        sample_ids: see `training_batches`. Defaults to False.
        cache: see `training_batches`. Defaults to None.

    Returns:
        What `fit` takes: a `tf.data.Dataset`, or with several replicas a
        `tf.distribute.DistributedDataset`.

    Raises:
        UserError: if the batches cannot be shared out, and see
            `training_batches`.
    """

    def batches(order):
        return training_batches(
            split, preprocessing, order, augmentation, sample_ids, cache
        )

    if split.shared_out:
        return distributed(batches, order)
    if workers() > 1:
        raise UserError(
            f"Each of {workers()} workers would get all images of a data "
            "service. Leave `data_service` out, or train with one worker."
        )
    return batches(order)


def distributed(
    batches: Callable[[Order], tf.data.Dataset], order: Order
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns batches for the current `tf.distribute` strategy.

    Args:
        batches: function from the `Order` of one worker to its share.
        order: `Order`, whose batches are those over all replicas.

    Returns:
        What `fit` takes.

    Raises:
        UserError: if the batches cannot be shared out.
    """
    if replicas() == 1:
        return batches(order)
    if order.batch_size % replicas():
        raise UserError(
            f"A batch of {order.batch_size} images cannot be shared out evenly "
            f"to {replicas()} replicas. Choose a multiple as `batch_size`."
        )
    return tf.distribute.get_strategy().distribute_datasets_from_function(
        lambda context: batches(_share(order, context))
    )


def _share(order, context):
    """Returns the order of one worker among others."""
    workers = context.num_input_pipelines
    return dataclasses.replace(
        order,
        worker=context.input_pipeline_id,
        workers=workers,
        parts=context.num_replicas_in_sync // workers,
    )


def steps(
    split: ImageSplit, batch_size: int, drop_remainder: bool = False
) -> int:
    """Returns the batches in an epoch.

    Args:
        split: `Split` or `EncodedSplit`.
        batch_size: int.
        drop_remainder: bool, see `Order`. Defaults to False.
    """
    whole, rest = divmod(len(split), batch_size)
    return whole + bool(rest and not drop_remainder)


def evaluation_batches(
    split: ImageSplit,
    preprocessing: Preprocessing,
    batch_size: int | None = None,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Returns the images in order, without augmentation, once.

    Several workers have a share each, see `indistill_tf.distribution.share`.

    Args:
        split: `Split` or `EncodedSplit`.
        preprocessing: `Preprocessing`, which normalises the images.
        batch_size: int. Defaults to 500, or fewer of large images: as many as
            take 64 MiB.
        worker: int, counted from 0. Defaults to 0.
        workers: int. Defaults to 1.

    Returns:
        `tf.data.Dataset` of `(images [N, H, W, C] float32, labels [N])`.
    """
    if batch_size is None:
        batch_size = _largest_batch(preprocessing)
    batches = split.evaluation(batch_size, worker, workers)
    return ahead(
        batches.map(
            lambda images, labels: (preprocessing.normalize(images), labels)
        )
    )


def _largest_batch(preprocessing):
    pixels = math.prod(preprocessing.input_shape)
    return max(1, min(_MOST_IMAGES, 2**24 // pixels))


def evaluation_shares(
    split: ImageSplit, preprocessing: Preprocessing
) -> Callable[[int, int], tf.data.Dataset]:
    """Returns `evaluation_batches` as `indistill_tf.distribution.predict` asks.

    Args:
        split: `Split` or `EncodedSplit`.
        preprocessing: `Preprocessing`.

    Returns:
        Function from a worker's number and the number of workers to its share.
    """
    return functools.partial(evaluation_batches, split, preprocessing, None)


def distributed_evaluation(
    split: ImageSplit, preprocessing: Preprocessing
) -> tuple[tf.data.Dataset | tf.distribute.DistributedDataset, int | None]:
    """Returns `evaluation_batches` for the current `tf.distribute` strategy.

    All replicas take equally many steps, and none without an image.

    Args:
        split: `Split` or `EncodedSplit`.
        preprocessing: `Preprocessing`.

    Returns:
        Tuple of what `fit` takes as `validation_data` and `validation_steps`;
        of several replicas the data go on for ever, and there are steps.

    Raises:
        UserError: if there are fewer images than replicas.
    """
    if replicas() == 1:
        return evaluation_batches(split, preprocessing), None
    if len(split) < replicas():
        raise UserError(
            f"{len(split)} images cannot be shared out to {replicas()} "
            "replicas. Choose a larger `validation_split`."
        )

    largest = -(-len(split) // replicas())
    steps = math.ceil(largest / _largest_batch(preprocessing))

    def batches(context):
        order = _share(Order(replicas(), seed=0), context)
        images = evaluation_batches(
            split, preprocessing, None, order.worker, order.workers
        )
        own = share(len(split), order.worker, order.workers)
        parts = [
            share(own.stop - own.start, part, steps * order.parts)
            for part in range(steps * order.parts)
        ]
        return images.rebatch([x.stop - x.start for x in parts]).repeat()

    strategy = tf.distribute.get_strategy()
    return strategy.distribute_datasets_from_function(batches), steps


def ahead(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns batches that are made ready while others are used.

    Args:
        batches: `tf.data.Dataset`.
    """
    options = tf.data.Options()
    # TensorFlow's tuner looks on ever more seldom, and the end of an iterator
    # at times waits, for seconds, until it looks again. Without it, maps use
    # all cores.
    options.autotune.enabled = False
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
