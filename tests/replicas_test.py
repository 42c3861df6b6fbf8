"""Every row, and a pair, train on several replicas as they do on one."""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from indistill_tf import methods

# A process of its own for each number of devices: a second MirroredStrategy in
# one process would share the first one's collective keys.
_DEVICES = """
import json, sys
import keras
import numpy as np
import tensorflow as tf

replicas = int(sys.argv[1])
# Collectives that wait for each other need a thread each.
tf.config.threading.set_inter_op_parallelism_threads(8 * replicas)
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * replicas,
)
strategy = tf.distribute.MirroredStrategy(
    [f"CPU:{index}" for index in range(replicas)]
)

class Record(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        steps.append({name: float(value) for name, value in logs.items()})

found = {}
"""

_ROWS = """
import indistill_tf
from indistill_tf import data, methods, models, schedules

names = sys.argv[2].split(",")
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
    **dict.fromkeys(["okd", "takd", "dgkd", "dist"], 2e-4),
    **dict.fromkeys(["similarity_kl", "similarity_okd"], 2e-4),
    **dict.fromkeys(["fsp", "srrl", "hints_joint", "mkt_absolute"], 1e-4),
    **dict.fromkeys(["factor_transfer", "indistill_critical_period"], 1e-4),
    "at": 1e-5,
    "cifd": 2e-6,
    "hsakd": 2e-5,
    "mkt": 1e-5,
}

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
                objective="retrieval",
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
        data.Order(BATCH, seed=0),
        data.Crop(),
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

# A teacher, its modules, and a pair of students of both.
_PAIRS = """
from indistill_tf import cifd, data, training

captions = data.load_captions(train_split="train[:80]", test_split="test[:9]")
tokenizer = data.Tokenizer.from_captions(captions.train.captions, 300)
task = training.PairTask(captions, tokenizer, context_length=8)
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
pairs = task.train
images, texts = (
    random.normal(size=(len(what), 16)).astype("float32") / 4
    for what in (pairs.split, pairs.tokens)
)
with strategy.scope():
    pair = cifd.PairDistiller(
        *task.towers("cnn_s", "text_32", 16),
        cifd.EmbeddingMatching(seed=0, reduction="sum"),
        cifd.EmbeddingMatching(seed=1, reduction="sum"),
        contrastive_weight=1.0,
    )
    pair.compile(keras.optimizers.SGD(1e-5, momentum=0.9))
    pairs = type(pairs)(
        pairs.split, pairs.tokens, pairs.preprocessing, images, texts
    )
    modules = cifd.RateDistortionModules([100.0], 16, architecture="clip")
    modules.compile("adam")
    batches = cifd.EmbeddingBatches(
        {"embedding": images}, np.zeros(len(images)), 16, 0
    )
    history = modules.fit(batches, epochs=4, shuffle=False, verbose=0).history
    found["modules"] = history["loss"]
steps = []
pair.fit(
    pairs.training(data.Order(16, 0, drop_remainder=True), data.Crop(0, False)),
    epochs=4,
    steps_per_epoch=5,
    callbacks=[Record()],
    shuffle=False,
    verbose=0,
)
found["pair"] = steps
print("RESULT" + json.dumps(found))
"""


@functools.cache
def found_on(replicas, script, *arguments):
    """Returns what a script has found on so many replicas."""
    command = [sys.executable, "-c", _DEVICES + script, str(replicas)]
    process = subprocess.run(
        [*command, *arguments],
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
    # Not Python's `max`, which may pass NaN over.
    return np.max(
        [
            abs(several[name] - one[name]) / max(abs(one[name]), 1e-6)
            for one, several in zip(expected, found)
            for name in one
            if name != "accuracy"  # counts: a tie may break either way
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [2, 4])
def test_every_row(replicas):
    names = tuple(methods.METHODS)
    expected, found = (
        found_on(n, _ROWS, ",".join(names)) for n in (1, replicas)
    )
    errors = {n: largest_error(expected[n], found[n]) for n in names}
    print("\n".join(f"{error:.1e} {name}" for name, error in errors.items()))
    wrong = {n: error for n, error in errors.items() if not error <= 1e-4}
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [2, 4])
def test_pair_and_modules(replicas):
    expected, found = (found_on(n, _PAIRS) for n in (1, replicas))
    error = largest_error(expected["pair"], found["pair"])
    print(f"{error:.1e} pair")
    assert error < 1e-4
    # Replicas draw their noise apart, so modules end alike, not equal.
    losses = found["modules"]
    assert losses[-1] == pytest.approx(expected["modules"][-1], rel=0.02)
    assert losses[-1] < 0.9 * losses[0]
