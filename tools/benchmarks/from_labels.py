"""Training from labels, and bfloat16."""

import functools

import keras
import tensorflow as tf

from indistill_tf import models
from indistill_tf.training import precision
from indistill_tf.training.fused_network import FusedNetwork
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired


def supervised(data_dir=None, repeats=5, count=20):
    """Measures steps from labels.

    Batches are of 128 images of 32 x 32. Against Keras' own step of the same
    network, and, of CNN-S, against the distiller's task step where the data
    bring the teacher's logits, so that no teacher is computed.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of one measurement of a CNN. Defaults to 20.

    Returns:
        Dict from rows to what `paired` returns, of steps a second.
    """
    del data_dir
    rows = {}
    for name, steps in _steps(count).items():
        rows[f"{name} / Keras"] = paired(
            functools.partial(_trained(name), steps),
            functools.partial(_trained(name, lambda network: network), steps),
            steps,
            repeats,
        )
    rows["cnn_s / distiller with targets"] = paired(
        functools.partial(_trained("cnn_s"), count),
        functools.partial(_distilled_with_targets(), count),
        count,
        repeats,
    )
    return rows


def bfloat16(data_dir=None, repeats=5, count=20):
    """Measures `precision=bfloat16` against float32, on processors with it.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of one measurement of a CNN. Defaults to 20.

    Returns:
        Dict from rows to what `paired` returns, of steps a second.

    Raises:
        UserError: if the processor has none.
    """
    del data_dir
    precision.check(precision.BFLOAT16)
    teacher = "resnet18_preactivation"
    rows = {f"{teacher}, forward": _compared(_forward(teacher), 4, repeats)}
    for name, steps in {teacher: 2, **_steps(count)}.items():
        rows[f"{name}, from labels"] = _compared(_trained(name), steps, repeats)
    for stage, first_epoch in ((1, 0), (4, 12)):
        run = networks.step_function(
            networks.make_distiller(), networks.batches(), first_epoch
        )
        rows[f"cnn_a -> cnn_s, stage {stage}"] = _compared(run, count, repeats)
    return rows


def _steps(count):
    """Returns how many steps of each network are one measurement."""
    return {"wrn_16_2": 4, "resnet20": 8, "cnn_a": count, "cnn_s": count}


def _compared(run, steps, repeats):
    def computed(kind):
        with precision.computing_in(kind):
            run(steps)

    return paired(
        functools.partial(computed, precision.BFLOAT16),
        functools.partial(computed, precision.FLOAT32),
        steps,
        repeats,
    )


def _build(name):
    return models.build(name, networks.SHAPE, networks.CLASSES)


def _trained(name, kind=FusedNetwork):
    """Returns a function that trains a network from labels for some steps."""
    model = kind(_build(name))
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    return networks.step_function(model, networks.batches())


def _distilled_with_targets():
    distiller = networks.make_distiller(method="okd", task=None)
    targets = tf.zeros((networks.BATCH, networks.CLASSES))
    names = distiller.target_names()
    data = networks.batches().map(
        lambda images, labels: (
            {"image": images, "targets": dict.fromkeys(names, targets)},
            labels,
        )
    )
    return networks.step_function(distiller, data)


def _forward(name):
    network = _build(name)
    images, _ = next(iter(networks.batches()))
    call = tf.function(lambda: network(images, training=False))

    def run(steps):
        for _ in range(steps):
            output = call()
        return output.numpy()

    return run
