"""What an optimizer does where a curriculum's stage changes."""

import keras
import numpy as np

import indistill_tf
from indistill_tf import data
from indistill_tf import methods
from indistill_tf import models

_LAYERS = ("conv1", "conv2", "conv3", "fc1")
_RATE = 2e-3
_STEPS = (1, 2, 5, 10, 20, 50)


def stage_change(data_dir=None, repeats=1, steps=100):
    """Measures Adam's first 50 steps of the task, behind the warm-up.

    CNN-S learns from a CNN-A on the embedded images: an epoch of each tap, then
    PKT, at a rate of 2e-3, without a restart of the optimizer and with one.

    Args:
        data_dir: ignored; all cases take it.
        repeats: ignored, as no time is measured.
        steps: int, of an epoch. Defaults to 100.

    Returns:
        Dict from rows to dicts from layers to numbers, root mean squares over a
        kernel: what Adam divides the task's first gradients by without a
        restart, these gradients, and, in each of some steps, by how much the
        kernel changes, over the learning rate. In these rows also `dead`, the
        part of the embedding's units that are zero for each test image.
    """
    del data_dir, repeats
    keras.utils.set_random_seed(0)
    images = data.load("embedded")
    teacher = _teacher(images, steps)
    rows, found = {}, {}
    for restart in ("never", "stage"):
        distiller = _warmed_up(images, teacher, steps)
        adam = distiller.optimizer
        if restart == "never":
            rows["what Adam divides by"] = _moments(adam)
        else:
            distiller.restart_optimizer()
        for step, row in _steps_of_the_task(images, distiller):
            found[f"restart {restart}, step {step}"] = row
            if (restart, step) == ("stage", 1):
                rows["gradients of the task"] = _moments(adam)
    return {**rows, **found}


def _teacher(images, steps):
    shape = images.preprocessing.input_shape
    teacher = models.build("cnn_a", shape, images.num_classes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile("adam", loss)
    teacher.fit(_batches(images, 0), steps_per_epoch=steps, epochs=3, **_SILENT)
    return teacher


def _warmed_up(images, teacher, steps):
    """Returns a distiller before the first epoch of the task."""
    keras.utils.set_random_seed(0)
    distiller = indistill_tf.Distiller(
        teacher=teacher,
        student=models.build("cnn_s", teacher.inputs[0].shape[1:], 10),
        method=methods.get(
            "indistill",
            objective="retrieval",
            schedule=indistill_tf.Curriculum(1, 0),
        ),
    )
    distiller.compile(keras.optimizers.Adam(_RATE))
    distiller.fit(
        _batches(images, 0),
        steps_per_epoch=steps,
        epochs=3,
        initial_epoch=0,
        callbacks=[indistill_tf.CurriculumCallback("never")],
        **_SILENT,
    )
    distiller.set_epoch(3)
    return distiller


def _steps_of_the_task(images, distiller):
    """Yields steps, counted from 1, and what happened in each."""
    student, batches = distiller.student, iter(_batches(images, 3))
    kernels = {name: student.get_layer(name).kernel for name in _LAYERS}
    embedding = indistill_tf.endpoints.named_view(student, ["embedding"])
    pixels = images.preprocessing(images.test.images)
    for step in range(1, max(_STEPS) + 1):
        before = {name: kernel.numpy() for name, kernel in kernels.items()}
        distiller.train_on_batch(*next(batches))
        if step not in _STEPS:
            continue
        row = {
            name: _root_mean_square(kernel.numpy() - before[name]) / _RATE
            for name, kernel in kernels.items()
        }
        units = embedding.predict(pixels, verbose=0)["embedding"]
        yield step, {**row, "dead": float((units.max(axis=0) <= 0).mean())}


def _moments(adam):
    """Returns what Adam divides gradients by, layer by layer."""
    correction = 1 - adam.beta_2 ** int(adam.iterations)
    roots = {}
    for name in _LAYERS:
        (squares,) = (
            variable.numpy()
            for variable in adam.variables
            if variable.name.endswith(f"{name}_kernel_velocity")
        )
        roots[name] = float(np.sqrt(squares.mean() / correction))
    return roots


def _root_mean_square(values):
    return float(np.sqrt(np.mean(np.square(values))))


def _batches(images, epoch):
    return data.training_batches(
        images.train,
        images.preprocessing,
        data.Order(128, seed=0, first_epoch=epoch),
        images.train.augmentation(),
    )


_SILENT = {"shuffle": False, "verbose": 0}
