"""Batches for training and evaluation, of images in memory or in files."""

import math

import tensorflow as tf

from indistill_tf.data.order import Order
from indistill_tf.errors import UserError


def training_batches(
    split,
    preprocessing,
    batch_size,
    seed,
    first_epoch=0,
    padding=4,
    flip=True,
    drop_remainder=False,
    sample_ids=False,
    epochs=None,
    service=None,
    worker=0,
    workers=1,
    parts=1,
    cache=None,
):
    """Returns shuffled, augmented batches, epoch after epoch.

    What an epoch contains depends on `seed` and the epoch's number alone, so a
    run resumed at epoch e sees the images that the undisturbed run saw. Give
    `fit` the `steps_per_epoch` of `steps`.

    Args:
        split: `Split`, padded, cropped and mirrored, or `EncodedSplit`, of
            whose images random parts are resized.
        preprocessing: `Preprocessing`.
        batch_size: int, images in a (global) batch.
        seed: int.
        first_epoch: int, counted from 0. Defaults to 0.
        padding: int, of a `Split`, see `crop_and_flip`; 0 with `flip=False`
            switches augmentation off. Defaults to 4.
        flip: bool. Defaults to True.
        drop_remainder: bool, whether the last, smaller batch of an epoch is
            left out. Defaults to False.
        sample_ids: bool, whether images come with their positions in the
            split, as `{"image": images, "sample_id": positions}`. Defaults to
            False.
        epochs: int, how many. Defaults to None: without end.
        service: address of a tf.data service that prepares the images of an
            `EncodedSplit`, such as `"grpc://host:5000"`; what this means for
            the order says `indistill_tf.data.service.distributed`. Defaults to
            None.
        worker: int, which of several workers reads here, counted from 0.
            Defaults to 0.
        workers: int, of how many. Each gives its share of every batch; they
            need `drop_remainder`. Defaults to 1.
        parts: int, the batches that such a share is given in, one for each
            replica of the worker. Defaults to 1.
        cache: `indistill_tf.data.TeacherCache` of the split and the
            preprocessing. Then the images are its views, as it crops and
            mirrors them, and come with the teacher's targets, as
            `{"image": images, "targets": targets}`. Defaults to None.

    Returns:
        `tf.data.Dataset` of `(images [N, H, W, C] float32, labels [N])`.

    Raises:
        UserError: if the batches cannot be shared out, or no service answers.
    """
    order = Order(
        batch_size,
        seed,
        first_epoch,
        epochs,
        drop_remainder,
        worker,
        workers,
        parts,
    )
    # A split in memory refuses a service, with a cache too.
    if cache is None or service is not None:
        batches = split.training(order, preprocessing, padding, flip, service)
    else:
        batches = cache.training(order)

    def finish(images, labels, positions, targets=None):
        images = preprocessing.normalize(images)
        more = {"sample_id": positions} if sample_ids else {}
        if targets is not None:
            more["targets"] = targets
        return {"image": images, **more} if more else images, labels

    batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    return ahead(batches)


def distributed_batches(split, preprocessing, batch_size, seed, **options):
    """Returns `training_batches` for the current `tf.distribute` strategy.

    Of images in files, each worker then reads and decodes its share only.

    Args:
        split: `Split` or `EncodedSplit`.
        preprocessing: `Preprocessing`.
        batch_size: int, images in a batch over all replicas.
        seed: int.
        **options: further arguments of `training_batches`, but `worker`,
            `workers` and `parts`.

    Returns:
        What `fit` takes: a `tf.data.Dataset`, or with several replicas and
        images in files a `tf.distribute.DistributedDataset`.

    Raises:
        UserError: if the batches cannot be shared out, or no service answers.
    """
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync

    def batches(**share):
        return training_batches(
            split, preprocessing, batch_size, seed, **options, **share
        )

    if replicas == 1 or not split.encoded or options.get("service"):
        return batches()
    if batch_size % replicas:
        raise UserError(
            f"A batch of {batch_size} images cannot be shared out evenly to "
            f"{replicas} replicas. Choose a multiple as --batch_size."
        )
    return strategy.distribute_datasets_from_function(
        lambda context: batches(
            worker=context.input_pipeline_id,
            workers=context.num_input_pipelines,
            parts=replicas // context.num_input_pipelines,
        )
    )


def steps(split, batch_size, drop_remainder=False):
    """Returns the batches in an epoch.

    Args:
        split: `Split` or `EncodedSplit`.
        batch_size: int.
        drop_remainder: bool, see `training_batches`. Defaults to False.
    """
    whole, rest = divmod(len(split), batch_size)
    return whole + bool(rest and not drop_remainder)


def evaluation_batches(split, preprocessing, batch_size=None):
    """Returns the images in order, without augmentation, once.

    Args:
        split: `Split` or `EncodedSplit`.
        preprocessing: `Preprocessing`.
        batch_size: int. Defaults to 500, or fewer of large images: as many as
            take 64 MiB.

    Returns:
        `tf.data.Dataset` of `(images [N, H, W, C] float32, labels [N])`.
    """
    if batch_size is None:
        pixels = math.prod(preprocessing.input_shape)
        batch_size = max(1, min(500, 2**24 // pixels))
    batches = split.evaluation(preprocessing, batch_size)
    return ahead(
        batches.map(
            lambda images, labels: (preprocessing.normalize(images), labels)
        )
    )


def ahead(batches):
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
