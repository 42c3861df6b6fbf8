import dataclasses
import logging

import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import models
from indistill_tf.checksums import checksum
from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.training import Chain
from indistill_tf.training import Distillation
from indistill_tf.training import Network
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training import run_chain
from indistill_tf.training import teacher_score


@pytest.fixture(scope="module")
def prototypes(small_images):
    """Returns a classifier of normalised images that needs no training.

    It names the class whose mean image is nearest.
    """
    images, labels = small_images.train.images, small_images.train.labels
    pixels = np.asarray(small_images.preprocessing.normalize(images))
    means = np.stack([pixels[labels == i].mean(axis=0) for i in range(10)])
    kernel = means.reshape(10, -1).T
    inputs = keras.Input((32, 32, 1))
    scores = layers.Dense(10, name="logits")
    model = keras.Model(inputs, scores(layers.Flatten()(inputs)), name="near")
    scores.set_weights([kernel, -np.square(kernel).sum(axis=0) / 2])
    return model


@pytest.fixture
def file_of(prototypes, small_images, tmp_path):
    """Saves the classifier for pixels of other kinds, and names the file."""
    prepared = small_images.preprocessing
    mean, std = np.array(prepared.mean), np.array(prepared.std)

    def file_of(kind):
        inputs = keras.Input((32, 32, 1))
        if kind == "rescaling":
            scale = layers.Rescaling(1 / (255 * std), -mean / std, name="own")
        elif kind == "normalization":
            scale = layers.Normalization(
                mean=255 * mean, variance=(255 * std) ** 2, name="own"
            )
        else:
            # A convolution, which is no scaling that can be seen.
            scale = layers.Conv2D(1, 1, name="own")
            scale.build((None, 32, 32, 1))
            kernel = (1 / (255 * std)).reshape(1, 1, 1, 1)
            scale.set_weights([kernel, -mean / std])
        model = keras.Model(inputs, prototypes(scale(inputs)), name="teacher")
        model.save(tmp_path / f"{kind}.keras")
        return tmp_path / f"{kind}.keras"

    return file_of


def warnings(caplog):
    # TensorFlow warns too.
    ours = [r for r in caplog.records if r.name == "indistill_tf"]
    return [record for record in ours if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    "kind, pixels, layer",
    [
        ("rescaling", "raw", "its layer 'own' scales pixels itself"),
        ("normalization", "raw", "its layer 'own' scales pixels itself"),
        ("convolution", "raw", "images are normalised already"),
    ],
)
def test_a_teacher_of_other_pixels(
    file_of, prototypes, small_images, caplog, kind, pixels, layer
):
    caplog.set_level(logging.INFO)
    path = file_of(kind)
    wrong = Network(path).read(small_images)
    (warning,) = warnings(caplog)
    assert layer in warning.message
    assert f"with `pixels={pixels}`" in warning.message
    caplog.clear()
    right = Network(path, pixels=pixels).read(small_images)
    assert warnings(caplog) == []
    expected = teacher_score.measure(prototypes, small_images, "teacher")
    assert expected > 0.6
    found = teacher_score.measure(right, small_images, "teacher")
    assert found == pytest.approx(expected)
    assert found > teacher_score.measure(wrong, small_images, "teacher") + 0.1
    assert f"teacher: accuracy {100 * found:.2f} % on 200 test" in caplog.text
    # What is kept of the one must not be taken for the other's.
    weights = [checksum(m.weights, shaped=True) for m in (wrong, right)]
    assert weights[0] != weights[1]
    # All that can be compared is still there.
    names = [layer.name for layer in endpoints.flattened(right).layers]
    assert {"own_pixels", "own", "logits"} <= set(names)


def test_near_chance(prototypes, small_images, caplog):
    caplog.set_level(logging.INFO)
    kernel, bias = prototypes.get_layer("logits").get_weights()
    turned = keras.models.clone_model(prototypes)
    order = np.roll(np.arange(10), 1)
    turned.set_weights([kernel[:, order], bias[order]])
    watched = dataclasses.replace(small_images, validation=small_images.train)
    teacher_score.measure(turned, watched, "auxiliary")
    assert "on 600 validation images, near chance (" in caplog.text
    assert "order of its classes" in caplog.text
    caplog.clear()
    teacher_score.measure(prototypes, watched, "auxiliary")
    assert "near chance" not in caplog.text


def test_it_is_measured_before_training(
    file_of, small_images, tmp_path, caplog, unscored
):
    caplog.set_level(logging.INFO)
    chain = Chain(
        Network(file_of("rescaling"), pixels="raw"),
        "cnn_s",
        Recipe(epochs=1, drop_epochs=()),
        Distillation("okd"),
    )
    run_chain(Run(tmp_path / "run", small_images), chain)
    lines = [r.getMessage().split(" ")[:2] for r in caplog.records]
    scored = lines.index(["teacher:", "accuracy"])
    assert scored < lines.index(["student:", "training,"])


def test_a_teacher_of_nan_is_refused(prototypes, small_images):
    broken = keras.models.clone_model(prototypes)
    broken.set_weights([w * np.nan for w in prototypes.get_weights()])
    with pytest.raises(UserError, match="Weights of .* are not finite"):
        teacher_score.measure(broken, small_images, "teacher")
    inputs = keras.Input((32, 32, 1))
    says = keras.ops.log(prototypes(inputs) - 1e9)
    with pytest.raises(UserError, match="The outputs of model .* not finite"):
        model = keras.Model(inputs, says)
        teacher_score.measure(model, small_images, "teacher")


def test_unknown_pixels():
    with pytest.raises(UserError, match="Unknown pixels: 'grey'"):
        Network("cnn_s", pixels="grey")


def test_pixels_of_a_network_to_train(small_images):
    made = Network(
        lambda: models.build("cnn_s", (32, 32, 1), 10), pixels="raw"
    ).build(small_images)
    (normal,) = small_images.preprocessing(small_images.train.images[:1])
    own = made.get_layer("own_pixels")(normal[None])
    pixels = small_images.train.images[:1]
    np.testing.assert_allclose(own, pixels, atol=1e-3)
