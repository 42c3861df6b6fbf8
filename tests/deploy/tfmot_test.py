import subprocess
import sys

import numpy as np
import pytest

from indistill_tf.deploy import tfmot
from indistill_tf.errors import UserError

_EVERY_TOOL = """
import os, subprocess, sys
import keras
from keras import layers
from indistill_tf import deploy

image = keras.Input((4, 4, 1))
x = layers.Flatten()(layers.Conv2D(4, 3)(image))
model = keras.Model(image, layers.Dense(2)(x))
model.save(sys.argv[1])
images, labels = keras.ops.ones((8, 4, 4, 1)), keras.ops.zeros((8, 2))
for clone, sparsity in (
    (deploy.quantized(model, weight_bits=4), None),
    (deploy.clustered(model, clusters=2), None),
    (deploy.sparse(model), 0.5),
    (deploy.sparse(model), "2:4"),
):
    callbacks = []
    if sparsity:
        callbacks = [deploy.PruningCallback(clone, sparsity)]
    clone.compile("sgd", "mse")
    clone.fit(images, labels, verbose=0, callbacks=callbacks)
    deploy.strip(clone)

import tensorflow as tf
read = tf.keras.models.load_model(sys.argv[1])
print(type(read).__module__.split(".")[0], tf.keras.__version__[0])
print(any("model_optimization" in name for name in sys.modules))
child = "import os; print(os.environ.get('TF_USE_LEGACY_KERAS'))"
print(subprocess.check_output([sys.executable, "-c", child], text=True))
"""


def test_keras_stays_keras_3_and_nothing_leaks(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _EVERY_TOOL, tmp_path / "model.keras"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["keras", "3", "True", "None"], done.stderr


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    tfmot._module.__wrapped__("sparsity.keras.pruning_schedule")
    assert tfmot.os.environ["TF_USE_LEGACY_KERAS"] == "0"


def test_centroids_are_values_of_the_kernel():
    kernel = np.array([[0.0, 5.0], [1.0, 6.0]], "float32")
    np.testing.assert_array_equal(tfmot.centroids(kernel, 4), [0, 1, 5, 6])
    two = tfmot.centroids(kernel, 2)
    assert two[0] < 2 and two[1] > 4


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    with pytest.raises(UserError, match="Install `indistill_tf.quantization.`"):
        tfmot._module("sparsity.keras.absent")
