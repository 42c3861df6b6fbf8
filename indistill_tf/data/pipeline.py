"""Batches for training and evaluation from images held in memory."""

import tensorflow as tf

from indistill_tf.data.augmentation import crop_and_flip


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
):
    """Returns shuffled, augmented batches, epoch after epoch without end.

    What an epoch contains depends on `seed` and the epoch's number alone, so a
    run resumed at epoch e sees the images that the undisturbed run saw. Give
    `fit` the `steps_per_epoch` of `steps`.

    Args:
        split: `Split`.
        preprocessing: `Preprocessing`.
        batch_size: int, images in a (global) batch.
        seed: int.
        first_epoch: int, counted from 0. Defaults to 0.
        padding: int, see `crop_and_flip`; 0 with `flip=False` switches
            augmentation off. Defaults to 4.
        flip: bool. Defaults to True.
        drop_remainder: bool, whether the last, smaller batch of an epoch is
            left out. Defaults to False.
        sample_ids: bool, whether images come with their positions in the
            split, as `{"image": images, "sample_id": positions}`. Defaults to
            False.

    Returns:
        `tf.data.Dataset` of `(images [N, H, W, C] float32, labels [N])`.
    """
    images = tf.constant(split.images)
    labels = tf.constant(split.labels)

    def one_epoch(epoch):
        epoch_seed = tf.random.fold_in([seed, 0], tf.cast(epoch, tf.int32))
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(split.labels)), epoch_seed
        )
        batches = tf.data.Dataset.from_tensor_slices(order)
        batches = batches.batch(batch_size, drop_remainder=drop_remainder)
        return batches.enumerate().map(
            lambda step, index: (
                tf.random.fold_in(epoch_seed, tf.cast(step, tf.int32)),
                index,
            )
        )

    def load(batch_seed, index):
        batch = tf.gather(images, index)
        if padding or flip:
            batch = crop_and_flip(batch, batch_seed, padding, flip)
        batch = preprocessing.normalize(batch)
        if sample_ids:
            batch = {"image": batch, "sample_id": index}
        return batch, tf.gather(labels, index)

    epochs = tf.data.Dataset.range(first_epoch, 2**31 - 1)
    return (
        epochs.flat_map(one_epoch)
        .map(load, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def steps(split, batch_size, drop_remainder=False):
    """Returns the batches in an epoch.

    Args:
        split: `Split`.
        batch_size: int.
        drop_remainder: bool, see `training_batches`. Defaults to False.
    """
    whole, rest = divmod(len(split.labels), batch_size)
    return whole + bool(rest and not drop_remainder)


def evaluation_batches(split, preprocessing, batch_size=500):
    """Returns the images in order, without augmentation, once.

    Args:
        split: `Split`.
        preprocessing: `Preprocessing`.
        batch_size: int. Defaults to 500.

    Returns:
        `tf.data.Dataset` of `(images [N, H, W, C] float32, labels [N])`.
    """
    dataset = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
    return (
        dataset.batch(batch_size)
        .map(lambda images, labels: (preprocessing.normalize(images), labels))
        .prefetch(tf.data.AUTOTUNE)
    )
