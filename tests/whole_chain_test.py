"""A whole chain on one, two and four devices and in two processes."""

import csv
import functools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Each epoch is one step, so that the history is the curve of the steps.
# Gradient descent shows a gradient of the wrong size, which Adam would hide.
CHAIN = [
    *("distill", "--teacher=cnn_a", "--teacher_epochs=2", "--student=cnn_s"),
    *("--train_split=train[:64]", "--test_split=test[:101]", "--method=okd"),
    *("--batch_size=64", "--epochs=50", "--drop_epochs=", "--optimizer=sgd"),
    *("--learning_rate=1e-4", "--worker_timeout=600"),
]
_DEVICES = """
import sys
import tensorflow as tf

replicas = int(sys.argv.pop(1))
# Collectives that wait for each other need a thread each.
tf.config.threading.set_inter_op_parallelism_threads(8 * replicas)
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * replicas,
)
strategy = tf.distribute.MirroredStrategy(
    [f"CPU:{index}" for index in range(replicas)]
)
from indistill_tf_tools import __main__ as command
with strategy.scope():
    command.main()
"""
RUNS = {
    "1 device": ["-c", _DEVICES, "1"],
    "2 devices": ["-c", _DEVICES, "2"],
    "4 devices": ["-c", _DEVICES, "4"],
    "2 workers": ["tools/launch_local.py", "--workers=2", "--"],
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Runs the chain, once each way: the losses of its steps, its record."""
    top = tmp_path_factory.mktemp("whole_chain")

    @functools.cache
    def ran(name):
        folder = top / name.replace(" ", "_")
        process = subprocess.run(
            [sys.executable, *RUNS[name], *CHAIN, f"--work_dir={folder}"],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert process.returncode == 0, process.stdout[-2000:] + process.stderr
        with open(folder / "history.csv") as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file)]
        result = json.loads((folder / "result.json").read_text())
        return np.array(losses), result

    return ran


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RUNS)[1:])
def test_as_on_one_device(ran, name):
    expected, one = ran("1 device")
    found, several = ran(name)
    assert len(expected) == len(found) == 50
    assert several["replicas"] == int(name[0])
    error = np.max(np.abs(found - expected))
    relative = np.max(np.abs(found / expected - 1))
    maps = [
        result["scores"]["retrieval"]["cosine"]["standard"]["map"]
        for result in (one, several)
    ]
    print(f"{name}: losses {error:.1e}, relative {relative:.1e}")
    print(f"{name}: map {maps[1]:.4f} for {maps[0]:.4f}")
    assert error < 1e-4
    assert maps[1] == pytest.approx(maps[0], abs=0.01)
