import logging
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import indistill_tf
from indistill_tf import methods
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.training import checkpoint
from indistill_tf.training import fitting
from indistill_tf.training import progress

IMAGES = np.zeros((4, 8, 8, 1), "float32")
DATA = tf.data.Dataset.from_tensors((IMAGES, np.arange(4))).repeat()
# What differs from run to run.
NUMBERS = re.compile(r": [\d.e-]+(?= -|$)|\b\d+ s\b")


def network():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, name="map_1")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4)(x))


def compiled_distiller():
    method = methods.get("indistill", schedule=Curriculum(1, 0))
    model = indistill_tf.Distiller(
        teacher=network(), student=network(), method=method
    )
    model.compile("sgd")
    return model


def compiled_network():
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


@pytest.fixture
def said(tmp_path, capsys, caplog):
    """Trains; returns what Keras prints, and the log without its numbers."""

    def said(model, epochs, level=logging.INFO):
        model.optimizer.build(model.trainable_variables)
        kept = checkpoint.Checkpoint(tmp_path)
        caplog.clear()
        with caplog.at_level(level, "indistill_tf"):
            fitting.fit_on(
                model,
                lambda first: DATA,
                kept,
                "student",
                epochs=epochs,
                steps=1,
                callbacks=[kept],
            )
        lines = [NUMBERS.sub("", x) for x in caplog.messages]
        return capsys.readouterr().out, lines

    return said


def test_one_line_an_epoch_and_one_a_stage_that_is_compiled(said):
    printed, lines = said(compiled_distiller(), 3)
    assert printed == ""
    task = "- loss - loss/supervised - loss/task - stage - learning_rate"
    assert lines == [
        "student: training, epochs 1 to 3",
        "student: compiling stage 1",
        "student: epoch 1/3 -  - loss - loss/tap_1 - stage - learning_rate",
        "student: 2 epochs left, about  if all take as long",
        "student: compiling stage 2",
        f"student: epoch 2/3 -  {task}",
        f"student: epoch 3/3 -  {task}",
    ]


def test_a_resumed_training_compiles_the_stage_where_it_goes_on(said):
    said(compiled_distiller(), 2)
    _, lines = said(compiled_distiller(), 3)
    assert lines[:2] == [
        "student: training goes on at epoch 3, to epoch 3",
        "student: compiling stage 2",
    ]


def test_a_network_of_labels_has_one_step(said):
    printed, lines = said(compiled_network(), 2)
    assert printed == ""
    assert lines == [
        "student: training, epochs 1 to 2",
        "student: compiling its step",
        "student: epoch 1/2 -  - accuracy - loss",
        "student: 1 epochs left, about  if all take as long",
        "student: epoch 2/2 -  - accuracy - loss",
    ]


def test_keras_speaks_where_the_log_is_not_shown(said):
    printed, lines = said(compiled_network(), 1, level=logging.WARNING)
    assert "1/1" in printed
    assert lines == []


def test_a_bar_in_a_terminal(said, monkeypatch):
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True)
    assert progress.verbosity() == 1
    _, lines = said(compiled_network(), 1)
    assert lines == [
        "student: training, epochs 1 to 1",
        "student: compiling its step",
    ]


def test_forecast_after_the_first_epoch_alone(monkeypatch, caplog):
    clock = iter([100.0, 160.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    forecast = progress.Forecast("student", epochs=8)
    with caplog.at_level(logging.INFO, "indistill_tf"):
        forecast.on_train_begin()
        # Of a resumed training this is the first.
        forecast.on_epoch_end(3)
        forecast.on_epoch_end(4)
    (line,) = caplog.messages
    assert line == "student: 4 epochs left, about 4 min if all take as long"
