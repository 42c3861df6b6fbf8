"""Two processes under MultiWorkerMirroredStrategy train as one does."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from indistill_tf import distribution
from indistill_tf_tools.local_workers import configurations

_WORKER = """
import json, os, signal, sys, time
import keras
import numpy as np
import tensorflow as tf

from indistill_tf.training import strategies

several = "TF_CONFIG" in os.environ
running = strategies.running(
    "multi_worker" if several else "default", worker_timeout=600
)
running.__enter__()
import indistill_tf
from indistill_tf import data, distribution, methods

def network(width, norm=False):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3, activation="relu", name="map_1")(inputs)
    if norm:
        x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))

def train(norm=False):
    keras.utils.set_random_seed(0)
    distiller = indistill_tf.Distiller(
        teacher=network(8),
        student=network(4, norm),
        method=methods.get(
            "indistill",
            task="okd",
            schedule=indistill_tf.Curriculum(1, 0),
            supervised_weight=1.0,
        ),
        taps=[("map_1", "map_1")],
    )
    distiller.compile("sgd", metrics=["accuracy"])
    batches = data.distributed_batches(
        split, prepared, data.Order(16, 0, drop_remainder=True), data.Crop(1)
    )
    validation, steps = data.distributed_evaluation(split, prepared)
    logs = distiller.fit(
        batches,
        epochs=3,
        steps_per_epoch=4,
        validation_data=validation,
        validation_steps=steps,
        shuffle=False,
        verbose=0,
    ).history
    return distiller.student, logs

rng = np.random.default_rng(0)
split = data.Split(
    rng.integers(0, 256, (65, 8, 8, 1), "uint8"),
    rng.integers(0, 3, 65).astype("int32"),
)
prepared = data.Preprocessing((8, 8), mean=(0.5,), std=(0.3,))
student, logs = train()
found = {
    "logs": logs,
    "weights": [float(np.sum(np.abs(x))) for x in student.weights],
    "outputs": distribution.predict(
        student, data.evaluation_shares(split, prepared)
    ).tolist(),
}
normed, _ = train(norm=True)
found["normed"] = [x.numpy().tolist() for x in normed.weights]
found["rows"] = distribution.gathered_rows(
    np.full([1 + distribution.worker()], distribution.worker())
).tolist()
# Outside the strategy: variables within would wait for the other worker.
found["chief"] = distribution.on_chief(lambda: float(network(2).count_params()))
print("RESULT" + json.dumps(found), flush=True)
"""

_LOST = """
if distribution.worker() == 1:
    # The other one may still be at the barrier of before.
    time.sleep(5)
    os.kill(os.getpid(), signal.SIGKILL)
try:
    distribution.barrier()
    running.__exit__(None, None, None)
except BaseException as error:
    try:
        running.__exit__(type(error), error, None)
    except indistill_tf.errors.UserError as lost:
        print("LOST" + str(lost), flush=True)
"""


def start(config, script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CONFIG": config},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def said():
    """What two workers say, of which one is lost in the end."""
    workers = [start(config, _WORKER + _LOST) for config in configurations(2)]
    outputs = [worker.communicate(timeout=600) for worker in workers]
    assert workers[1].returncode == -signal.SIGKILL, outputs[1][1][-2000:]
    return outputs


@pytest.fixture(scope="module")
def found(said):
    lines = [
        line
        for output, _ in said
        for line in output.splitlines()
        if line.startswith("RESULT")
    ]
    assert len(lines) == 2, said[0][1][-2000:]
    return [json.loads(line.removeprefix("RESULT")) for line in lines]


@pytest.fixture(scope="module")
def alone():
    process = subprocess.run(
        [sys.executable, "-c", _WORKER], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return json.loads(process.stdout.partition("RESULT")[2])


@pytest.mark.long
def test_two_workers_train_as_one_process(found, alone):
    for one in found:
        np.testing.assert_allclose(one["weights"], alone["weights"], rtol=1e-5)
        assert one["logs"].keys() == alone["logs"].keys()
        for name, values in alone["logs"].items():
            assert one["logs"][name] == pytest.approx(
                values, rel=1e-4, nan_ok=True
            ), name


@pytest.mark.long
def test_each_worker_has_all_outputs(found, alone):
    for one in found:
        np.testing.assert_allclose(one["outputs"], alone["outputs"], rtol=1e-4)
    assert [one["rows"] for one in found] == [[0, 1, 1]] * 2


@pytest.mark.long
def test_statistics_that_replicas_take_apart_end_equal(found):
    first, second = (one["normed"] for one in found)
    assert first == second
    # Layers, kernels and biases, and four of the normalisation.
    assert len(first) == 8


@pytest.mark.long
def test_only_the_chief_runs_what_is_its(found):
    assert [one["chief"] for one in found] == [29.0, None]


@pytest.mark.long
def test_the_one_that_is_left_says_who_is_lost(said):
    (text,) = (x for x in said[0][0].splitlines() if x.startswith("LOST"))
    assert text.startswith("LOSTLost worker 1 (127.0.0.1:")
    assert "of 2; this one stops. The same command on every worker" in text


def test_one_process_is_the_chief():
    assert (distribution.worker(), distribution.workers()) == (0, 1)
    assert distribution.is_chief()
    distribution.barrier()
    assert distribution.on_chief(lambda: 7) == 7


@pytest.mark.parametrize("size, workers", [(7, 3), (2, 4), (8, 2)])
def test_shares_are_the_whole(size, workers):
    rows = np.arange(size)
    shares = [
        rows[distribution.share(size, worker, workers)]
        for worker in range(workers)
    ]
    np.testing.assert_array_equal(np.concatenate(shares), rows)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


_MODULES = """
import os, sys
import keras
from indistill_tf.training import strategies

running = strategies.running("multi_worker", worker_timeout=600)
with running:
    from indistill_tf import data, models, training
    from indistill_tf.training import work_directory

    images = data.load(train_split="train[:64]", test_split="test[:9]")
    teacher = models.build("cnn_s", images.input_shape, images.num_classes)
    recipe = training.ModulesRecipe(trade_offs=(100.0,), epochs=1)
    modules, result = training.train_modules(
        sys.argv[1], images, teacher, recipe
    )
    assert work_directory.checksum(modules) == result["checksum"]
    print("RESULT" + result["checksum"], flush=True)
"""


@pytest.mark.slow
def test_modules_of_the_chief_are_read_by_all(tmp_path):
    workers = [
        start(config, _MODULES, str(tmp_path)) for config in configurations(2)
    ]
    outputs = [worker.communicate(timeout=600) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    first, second = (output.split("RESULT")[1] for output, _ in outputs)
    assert first == second
