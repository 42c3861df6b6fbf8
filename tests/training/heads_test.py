"""A network of one sigmoid, through training, scores and export."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from indistill_tf import data
from indistill_tf import evaluation
from indistill_tf import models
from indistill_tf import training
from indistill_tf.errors import UserError
from indistill_tf.graph import heads
from indistill_tf.training import work_directory
from indistill_tf.training.networks import read_teacher


@pytest.fixture(scope="module")
def two_classes():
    return data.load(
        train_split="train[:800]", test_split="test[:200]", classes=2
    )


def network(units=1, activation="sigmoid", end=None, name="own"):
    images = keras.Input((32, 32, 1))
    x = layers.Conv2D(4, 3, 4, activation="relu", name="tap_1")(images)
    x = layers.Flatten()(x)
    x = layers.Dense(units, activation)(x)
    return keras.Model(images, end(x) if end else x, name=name)


def trained(folder, images, made, teacher=None, epochs=3):
    recipe = training.Recipe(
        epochs=epochs, drop_epochs=(), learning_rate=0.01, batch_size=16
    )
    taught = teacher and training.Distillation("okd")
    hop = training.Hop(training.Network(made), recipe, taught)
    run = training.Run(folder, images)
    return training.run_hop(run, hop, teacher)


@pytest.mark.long
def test_training_scores_and_export_of_a_sigmoid(tmp_path, two_classes):
    teacher, result = trained(tmp_path / "t", two_classes, network)
    pixels = two_classes.test.images
    values = np.array(teacher(two_classes.preprocessing(pixels)))[:, 0]
    right = (values > 0.5) == two_classes.test.labels
    assert result["scores"]["accuracy"] == pytest.approx(right.mean())
    assert right.mean() > 0.8
    assert result["head"] == "sigmoid"
    # A student without the sigmoid learns from it as if it had one.
    folder = tmp_path / "s"
    student, result = trained(
        folder, two_classes, lambda: network(1, None), teacher
    )
    assert result["head"] == "sigmoid"
    assert result["scores"]["agreement"] > 0.8
    training.export_run(folder)
    loaded = tf.saved_model.load(folder / "saved_model")
    np.testing.assert_allclose(
        loaded.serve(pixels),
        ops.sigmoid(student(two_classes.preprocessing(pixels))),
        atol=1e-5,
    )


def test_export_of_logits_that_were_trained_as_sigmoids(tmp_path, two_classes):
    saved = network(2, None)
    saved.save(tmp_path / "model.keras")
    result = {"images": two_classes.describe(), "head": "sigmoid"}
    work_directory.write_json(tmp_path / "result.json", result)
    training.export_run(tmp_path, tmp_path / "e")
    loaded = tf.saved_model.load(tmp_path / "e")
    pixels = two_classes.test.images[:5]
    expected = ops.sigmoid(saved(two_classes.preprocessing(pixels)))
    np.testing.assert_allclose(loaded.serve(pixels), expected, atol=1e-5)


def test_recipes_loss_of_probabilities():
    model = network(2, "softmax")
    head = heads.decide(model)
    values, labels = np.array([[0.25, 0.75]], "float32"), np.array([0])
    for smoothing, expected in ((0.0, 0.25), (0.5, 0.25**0.75 * 0.75**0.25)):
        loss = training.Recipe(label_smoothing=smoothing).supervised_loss(head)
        assert float(loss(labels, values)) == pytest.approx(-np.log(expected))


def test_network_says_what_it_is(tmp_path, two_classes):
    unreadable = layers.Activation("hard_sigmoid")
    made = training.Network(lambda: network(end=unreadable), head="sigmoid")
    model = made.build(two_classes)
    scores = evaluation.outputs(
        model, two_classes.test, two_classes.preprocessing
    )
    assert scores["logits"].shape == (len(two_classes.test), 1)
    plain = network(end=unreadable)
    with pytest.raises(UserError, match="does not say what it is"):
        evaluation.outputs(plain, two_classes.test, two_classes.preprocessing)


def test_teacher_of_two_outputs(tmp_path, two_classes):
    model = network(2, None)
    both = {"classes": model.outputs[0], "map": model.layers[1].output}
    keras.Model(model.inputs[0], both).save(tmp_path / "two.keras")
    path = tmp_path / "two.keras"
    teacher = read_teacher(path, None, two_classes, outputs="classes")
    images = np.zeros((1, 32, 32, 1), "float32")
    np.testing.assert_allclose(
        teacher(images), models.load_model(path)(images)["classes"]
    )
    with pytest.raises(UserError, match="output of .*: 'logits'.*classes, map"):
        read_teacher(path, None, two_classes, outputs="logits")
    with pytest.raises(UserError, match="`outputs='classes'`"):
        read_teacher(path, None, two_classes)


def test_one_sigmoid_for_many_classes(tmp_path, small_images):
    with pytest.raises(UserError, match="two classes.*images have 10"):
        trained(tmp_path, small_images, network)
