"""Two processes under MultiWorkerMirroredStrategy train as one does."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

_WORKER = """
import json, os, sys
import keras
import numpy as np
import tensorflow as tf

strategy = tf.distribute.get_strategy()
if "TF_CONFIG" in os.environ:
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
import indistill_tf
from indistill_tf import methods

def network(width):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3, activation="relu", name="map_1")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))

rng = np.random.default_rng(0)
images = rng.normal(size=(64, 8, 8, 1)).astype("float32")
labels = rng.integers(0, 3, 64)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = (
    tf.data.experimental.AutoShardPolicy.DATA
)
data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
data = data.with_options(options)
keras.utils.set_random_seed(0)
with strategy.scope():
    student = network(4)
    distiller = indistill_tf.Distiller(
        teacher=network(8),
        student=student,
        method=methods.get(
            "indistill",
            task="okd",
            schedule=indistill_tf.Curriculum(1, 0),
            supervised_weight=1.0,
        ),
        taps=[("map_1", "map_1")],
    )
    distiller.compile("sgd", metrics=["accuracy"])
logs = distiller.fit(
    data, epochs=3, validation_data=data, shuffle=False, verbose=0
).history
weights = [float(np.sum(np.abs(weight))) for weight in student.weights]
print("RESULT" + json.dumps({"logs": logs, "weights": weights}), flush=True)
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def start(config):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    environment["TF_CONFIG"] = json.dumps(config)
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process):
    output, errors = process.communicate(timeout=200)
    lines = [x for x in output.splitlines() if x.startswith("RESULT")]
    assert lines, errors[-2000:]
    return json.loads(lines[0].removeprefix("RESULT"))


def test_two_workers_train_as_one_process():
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    workers = [
        start({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]
    found = [result(worker) for worker in workers]
    expected = {}
    exec(_WORKER, expected)  # without TF_CONFIG, in this process
    for one in found:
        np.testing.assert_allclose(
            one["weights"], expected["weights"], rtol=1e-5
        )
        assert one["logs"].keys() == expected["logs"].keys()
        for name, values in expected["logs"].items():
            assert one["logs"][name] == pytest.approx(
                values, rel=1e-4, nan_ok=True
            ), name
