"""What each way of making a step faster gives, and what others would."""

import functools
import itertools
import warnings
from unittest import mock

import keras
import tensorflow as tf

from indistill_tf import data
from indistill_tf import endpoints
from indistill_tf.distillation import plan
from indistill_tf.distillation.distiller import Distiller
from indistill_tf.graph import pruned_maps
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired


def levers(data_dir=None, repeats=5, count=20):
    """Measures the steps as they are against steps with one thing changed.

    The networks are those of the case `steps`. Three things are undone, one
    at a time: both networks are computed up to their logits in each stage;
    the teacher's maps are computed whole and sliced, not pruned; batch
    normalisation is Keras'. XLA is tried. And the uint8 images of a pipeline
    are normalised in the step, not before.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of one measurement. Defaults to 20.

    Returns:
        Dict from rows to what `paired` returns, of steps a second; a ratio
        above 1 says that the steps as they are are faster.
    """
    del data_dir
    prepared = networks.batches()
    distiller = networks.make_distiller()
    ends = list(itertools.accumulate(networks.stage_epochs(distiller)))
    firsts = dict(enumerate([0, *ends], start=1))

    def measure(other, stage):
        return paired(
            functools.partial(as_it_is[stage], count),
            functools.partial(
                networks.step_function(other, prepared, firsts[stage]), count
            ),
            count,
            repeats,
        )

    as_it_is = {
        stage: networks.step_function(distiller, prepared, firsts[stage])
        for stage in (1, 2, 4)
    }
    rows = {}
    with (
        mock.patch.object(endpoints, "view", _whole_view),
        warnings.catch_warnings(),
    ):
        # That no loss reads what is computed beyond a tap is the point.
        warnings.simplefilter("ignore")
        rows["whole networks, stage 1"] = measure(_fresh(), 1)
        rows["whole networks, stage 2"] = measure(_fresh(), 2)
    with mock.patch.object(pruned_maps, "_is_narrowable", lambda conv: False):
        rows["sliced maps, stage 1"] = measure(_fresh(), 1)
        rows["sliced maps, stage 2"] = measure(_fresh(), 2)
    with mock.patch.object(plan, "fused", lambda view, *how: view):
        rows["normalisation of Keras, stage 1"] = measure(_fresh(), 1)
        rows["normalisation of Keras, stage 4"] = measure(_fresh(), 4)
    compiled = networks.make_distiller(jit_compile=True)
    rows["XLA, stage 4"] = measure(compiled, 4)
    rows["normalised in the step, stage 1"] = _in_step(count, repeats)
    return rows


def _fresh():
    return networks.make_distiller()


def _whole_view(model, outputs):
    return keras.Model(model.inputs[0], {**outputs, "": model.outputs[0]})


def _in_step(count, repeats):
    """Measures stage 1 on augmented images, normalised before or in it."""
    split, preprocessing = networks.image_set(count * networks.BATCH)

    class InStep(Distiller):
        def train_step(self, batch):
            images, labels = batch
            return super().train_step((preprocessing.normalize(images), labels))

    order = data.Order(networks.BATCH, seed=0)
    raw = split.training(order, data.Crop())
    raw = raw.map(lambda images, labels, positions: (images, labels))
    normal = data.training_batches(split, preprocessing, order, data.Crop())
    before = networks.step_function(_fresh(), normal)
    inside = networks.step_function(
        networks.make_distiller(kind=InStep), raw.prefetch(tf.data.AUTOTUNE)
    )
    return paired(
        functools.partial(before, count),
        functools.partial(inside, count),
        count,
        repeats,
    )
