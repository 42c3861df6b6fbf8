"""Seconds until a stage has done its first step."""

import time
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from indistill_tf.distillation.distiller import Distiller
from indistill_tf.distillation.planned import PlannedModel

_SHAPE = (96, 96, 3)
_CLASSES = 10
_BATCH = 8
_EPOCHS = 100


def compile(data_dir=None, repeats=5, networks=None):
    """Measures how long the first step of each stage takes, and what of it.

    A DenseNet-121 teaches a MobileNetV2, in batches of 8 images of 96 x 96, by
    `"indistill"` and by `"okd"`, which has a single stage. Python cuts the
    networks and traces the step; the rest is TensorFlow's, which optimises and
    runs the graph. Beside it the same with the metrics created by the step, as
    Keras does: TensorFlow then traces the first step twice.

    Args:
        data_dir: ignored; all cases take it.
        repeats: ignored: a step is compiled once.
        networks: function returning teacher and student. Defaults to None:
            those named above.

    Returns:
        Dict from stages to dicts of numbers: `traces`, of which seconds
        `views`, `trace` and `rest` add up to `total`, the `total` with
        metrics `made in the step`, and that over ours, `ratio of totals`.
    """
    del data_dir, repeats
    networks = networks or _large_networks
    rows = {}
    for method in ("indistill", "okd"):
        with mock.patch.object(
            PlannedModel, "_traced_once", lambda self, function: function
        ):
            others = _stages(method, *networks())
        ours = _stages(method, *networks())
        for number, (stage, other) in enumerate(zip(ours, others), start=1):
            rows[f"{method}, stage {number}"] = {
                **stage,
                "made in the step": other["total"],
                "ratio of totals": other["total"] / stage["total"],
            }
    return rows


class _Timed(Distiller):
    """A distiller that notes how long each trace of its step takes."""

    traces = ()

    def train_step(self, data):
        start = time.perf_counter()
        logs = super().train_step(data)
        self.traces = (*self.traces, time.perf_counter() - start)
        return logs


def _large_networks():
    options = {"weights": None, "input_shape": _SHAPE, "classes": _CLASSES}
    return (
        keras.applications.DenseNet121(**options),
        keras.applications.MobileNetV2(**options),
    )


def _stages(method, teacher, student):
    distiller = _Timed(teacher=teacher, student=student, method=method)
    distiller.compile(optimizer="adam", metrics=["accuracy"])
    distiller.build_optimizer()
    images = np.zeros((_BATCH, *student.input_shape[1:]), "float32")
    batch = (images, np.zeros(_BATCH, "int32"))
    data = iter(tf.data.Dataset.from_tensors(batch).repeat())
    firsts = {}
    for epoch in range(_EPOCHS):
        firsts.setdefault(distiller.active_losses(epoch), epoch)
    return [_first_step(distiller, epoch, data) for epoch in firsts.values()]


def _first_step(distiller, epoch, data):
    distiller.traces = ()
    start = time.perf_counter()
    # The first stage's views are as old as the distiller.
    distiller.set_epoch(epoch)
    cut = time.perf_counter()
    distiller.make_train_function()
    distiller.train_function(data)
    end = time.perf_counter()
    trace = sum(distiller.traces)
    return {
        "traces": len(distiller.traces),
        "views": cut - start,
        "trace": trace,
        "rest": end - cut - trace,
        "total": end - start,
    }
