"""Every row trains on two and on four replicas as it does on one."""

import functools
import json
import os
import subprocess
import sys

import pytest

from indistill_tf import methods

# A process of its own for each number of devices: a second MirroredStrategy in
# one process would share the first one's collective keys.
_WORKER = """
import json, sys
import keras
import numpy as np
import tensorflow as tf

names, replicas = sys.argv[1].split(","), int(sys.argv[2])
# Collectives that wait for each other need a thread each.
tf.config.threading.set_inter_op_parallelism_threads(8 * replicas)
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * replicas,
)
strategy = tf.distribute.MirroredStrategy(
    [f"CPU:{index}" for index in range(replicas)]
)
import indistill_tf
from indistill_tf import data, methods, models, schedules

BATCH, STEPS, EPOCHS = 32, 4, 5
images = data.load(
    train_split=f"train[:{BATCH * STEPS}]", test_split="test[:9]"
)
SHORT = {
    schedules.Curriculum: schedules.Curriculum(1, 0),
    schedules.TwoStage: schedules.TwoStage(2),
}

# Gradient descent shows a gradient of the wrong size, which Adam would hide. At
# these rates 20 steps move the losses and do not yet blow up the rounding.
RATES = {
    **dict.fromkeys(["fsp", "srrl", "hints_joint", "mkt_absolute"], 1e-4),
    **dict.fromkeys(["factor_transfer", "indistill_critical_period"], 1e-4),
    "at": 1e-5,
    "cifd": 2e-6,
    "hsakd": 2e-5,
    "mkt": 1e-5,
}


class Record(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        steps.append({name: float(value) for name, value in logs.items()})


found = {}
for name in names:
    keras.utils.set_random_seed(0)
    row = methods.get(name)
    with strategy.scope():
        teacher, student = (
            models.build(
                network,
                images.input_shape,
                images.num_classes,
                synchronized=True,
            )
            for network in ("cnn_a", "cnn_s")
        )
        distiller = indistill_tf.Distiller(
            teacher=teacher,
            student=student,
            method=methods.get(
                name,
                schedule=SHORT.get(type(row.schedule)),
                preparation=1 if row.preparation else None,
            ),
            train_labels=images.train.labels,
        )
        rate = RATES.get(name, 1e-3)
        distiller.compile(keras.optimizers.SGD(rate, momentum=0.9))
    batches = data.training_batches(
        images.train,
        images.preprocessing,
        BATCH,
        seed=0,
        sample_ids=distiller.needs_sample_ids,
    )
    steps = []
    distiller.fit(
        batches,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        callbacks=[Record()],
        shuffle=False,
        verbose=0,
    )
    found[name] = steps
    print(name, file=sys.stderr, flush=True)
print("RESULT" + json.dumps(found))
"""


@functools.cache
def steps_of(names, replicas):
    """Returns the logs of 20 steps of each row."""
    process = subprocess.run(
        [sys.executable, "-c", _WORKER, ",".join(names), str(replicas)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    lines = [x for x in process.stdout.splitlines() if x.startswith("RESULT")]
    assert lines, process.stderr[-2000:]
    return json.loads(lines[0].removeprefix("RESULT"))


def largest_error(expected, found):
    """The largest relative difference in any loss of any step."""
    assert len(expected) == len(found) == 20
    return max(
        abs(several[name] - one[name]) / max(abs(one[name]), 1e-6)
        for one, several in zip(expected, found)
        for name in one
    )


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [2, 4])
def test_every_row(replicas):
    names = tuple(methods.METHODS)
    expected, found = steps_of(names, 1), steps_of(names, replicas)
    errors = {n: largest_error(expected[n], found[n]) for n in names}
    print("\n".join(f"{error:.1e} {name}" for name, error in errors.items()))
    assert {n: error for n, error in errors.items() if error > 1e-4} == {}
