"""What the step's cases train: CNN-S from CNN-A, as InDistill does."""

import functools

import keras
import numpy as np
import tensorflow as tf

from indistill_tf import data
from indistill_tf import methods
from indistill_tf import models
from indistill_tf.distillation.distiller import Distiller

BATCH = 128
SHAPE = (32, 32, 3)
CLASSES = 10


def batches(size=BATCH, shape=SHAPE):
    """Returns an endless dataset of prepared random batches.

    Args:
        size: int, images in a batch. Defaults to 128.
        shape: of an image. Defaults to (32, 32, 3).
    """
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4 * size, *shape)).astype("float32")
    labels = rng.integers(0, CLASSES, 4 * size)
    found = tf.data.Dataset.from_tensor_slices((images, labels))
    found = found.batch(size, drop_remainder=True).cache().repeat().prefetch(2)
    options = tf.data.Options()
    # As in the library's batches.
    options.autotune.enabled = False
    return found.with_options(options)


def image_set(count):
    """Returns random images and how they are prepared.

    Args:
        count: int, of images.

    Returns:
        Tuple of `Split` and `Preprocessing`.
    """
    rng = np.random.default_rng(0)
    split = data.Split(
        rng.integers(0, 256, (count, *SHAPE), "uint8"),
        rng.integers(0, CLASSES, count).astype("int32"),
    )
    preprocessing = data.Preprocessing(
        image_size=SHAPE[:2], mean=(0.5,) * 3, std=(0.25,) * 3
    )
    return split, preprocessing


def make_distiller(
    teacher="cnn_a",
    student="cnn_s",
    method="indistill",
    task="okd",
    kind=Distiller,
    synchronized=False,
    **compiled,
):
    """Returns a compiled `Distiller`.

    Args:
        teacher: a model's name. Defaults to `"cnn_a"`.
        student: a model's name. Defaults to `"cnn_s"`.
        method: see `Distiller`. Defaults to `"indistill"`.
        task: see `Distiller`. Defaults to `"okd"`.
        kind: the class. Defaults to `Distiller`.
        synchronized: bool, whether batch normalisation takes the statistics
            of all replicas. Defaults to False.
        **compiled: further arguments of `compile`.
    """
    teacher, student = (
        models.build(name, SHAPE, CLASSES, synchronized=synchronized)
        for name in (teacher, student)
    )
    distiller = kind(
        teacher=teacher,
        student=student,
        # As the records have it.
        method=methods.get(
            method, task, objective="retrieval", batch_norm="carry"
        ),
    )
    distiller.compile(optimizer="adam", metrics=["accuracy"], **compiled)
    return distiller


def stage_epochs(distiller, epochs=70):
    """Returns the epochs of each stage, the task's last.

    Args:
        distiller: `Distiller`.
        epochs: int, of the whole training. Defaults to 70.
    """
    taps = distiller.method.schedule.epochs_per_tap(len(distiller.taps))
    return [*taps, epochs - sum(taps)]


def step_function(model, prepared, first_epoch=0):
    """Returns a function that trains a model for some steps.

    It calls the compiled step, as `fit` does, and nothing else.

    Args:
        model: compiled model, built.
        prepared: endless dataset.
        first_epoch: int, whose stage a `Distiller` trains. Defaults to 0.
    """
    if isinstance(model, Distiller):
        model.set_epoch(first_epoch)
    model.make_train_function()
    train, iterator = model.train_function, iter(prepared)
    # Compiled now: the first call finds the stage that is set by then.
    train(iterator)

    def run(steps):
        for _ in range(steps):
            logs = train(iterator)
        # The last step's value ends the wait for all of them.
        return {name: float(value) for name, value in logs.items()}

    return run


def one_epoch(distiller, prepared, first_epoch, count):
    """Returns a function that calls `fit` for one epoch of a schedule.

    Args:
        distiller: compiled `Distiller`.
        prepared: endless dataset.
        first_epoch: int, whose stage is trained.
        count: int, steps of the epoch.
    """
    return functools.partial(
        distiller.fit,
        prepared,
        initial_epoch=first_epoch,
        epochs=sum(stage_epochs(distiller)),
        steps_per_epoch=count,
        shuffle=False,
        verbose=0,
        callbacks=[OneEpoch()],
    )


class OneEpoch(keras.callbacks.Callback):
    """Ends `fit` where it would go on to the rest of the schedule."""

    def on_epoch_end(self, epoch, logs=None):
        """See `keras.callbacks.Callback`."""
        self.model.stop_training = True
