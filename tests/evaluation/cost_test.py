import sys

import keras
import pytest
from keras import layers

from indistill_tf import evaluation
from indistill_tf.evaluation import cost


@pytest.fixture
def model():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(5, use_bias=False)(x))


def test_parameters_count_what_is_trained(model):
    expected = 3 * 3 * 3 * 4 + 2 * 4 + 6 * 6 * 4 * 5
    assert evaluation.parameters(model) == expected
    model.trainable = False
    assert evaluation.parameters(model) == expected


def test_flops(model):
    multiplications = 6 * 6 * 3 * 3 * 3 * 4 + 6 * 6 * 4 * 5
    operations = evaluation.flops(model)
    # Beside these, the profiler counts the normalisation's few operations.
    assert 2 * multiplications <= operations <= 2 * multiplications * 1.2


def test_file_size_leaves_the_optimizer_out(model):
    bare = evaluation.file_size(model)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    optimizer = model.optimizer
    assert evaluation.file_size(model) < bare * 1.2
    assert model.optimizer is optimizer
    assert bare > 4 * evaluation.parameters(model)


def test_latency(model):
    assert 0 < evaluation.latency(model, repeats=3) < 1000


def test_latency_says_in_what_it_was_measured(model, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    assert cost.timed(model, repeats=3)["latency_runtime"] == "LiteRT"
    # As if the package were missing.
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter")
    found = cost.timed(model, repeats=3)
    assert found["latency_runtime"] == "TensorFlow"
    assert 0 < found["latency_ms"] < 1000
