import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import Distiller
from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf.cifd import InformationBottleneck
from indistill_tf.cifd import with_bottleneck
from indistill_tf.errors import UserError


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(8, 32, 32, 1))


def build(name="cnn_s"):
    return models.build(name, (32, 32, 1), 4)


def test_noise_and_rate_in_training_only():
    layer = InformationBottleneck(0.5, seed=0)
    embedding = np.random.default_rng(0).normal(size=(64, 3))
    assert np.array_equal(layer(embedding), embedding.astype("float32"))
    assert layer.losses == []
    noisy = layer(embedding, training=True)
    difference = np.abs(noisy - embedding)
    assert 0.4 < difference.max() <= 0.5 + 1e-6
    (loss,) = layer.losses
    rate = np.mean(layer.density(noisy))
    assert float(loss) == pytest.approx(0.5 * rate)
    assert rate > 0


def test_mean_over_dimensions():
    losses = []
    for reduction in ("sum", "mean"):
        keras.utils.set_random_seed(0)
        layer = InformationBottleneck(1.0, reduction, seed=0)
        layer(np.ones((4, 5)), training=True)
        losses.append(float(layer.losses[0]))
    assert losses[0] == pytest.approx(5 * losses[1])


def test_the_student_stays_what_it_is(images):
    student = build()
    before = student.get_weights()
    wrapped = with_bottleneck(student, 0.005)
    assert np.array_equal(wrapped(images), student(images))
    assert not np.allclose(
        wrapped(images, training=True), student(images, training=True)
    )
    assert not any(
        isinstance(layer, InformationBottleneck) for layer in student.layers
    )
    assert len(student.weights) == len(before)
    endpoints.classifier(wrapped).bias.assign(np.arange(4))
    assert np.array_equal(endpoints.classifier(student).bias, np.arange(4))


def test_losses_read_the_noisy_embedding():
    wrapped = with_bottleneck(build(), 0.005)
    tensor = endpoints.endpoint(wrapped, "embedding")
    assert tensor._keras_history.operation.name == "bottleneck"


@pytest.mark.parametrize("method", ["okd", "pkt", "indistill"])
def test_any_method_trains_it(images, method):
    student = build()
    distiller = Distiller(
        teacher=build("cnn_a"),
        student=with_bottleneck(student, 0.1),
        method=method,
        objective="retrieval",
    )
    distiller.compile(optimizer="sgd")
    distiller.set_epoch(30)
    before = {w.path: np.array(w) for w in distiller.student.trainable_weights}
    labels = np.arange(8) % 4
    loss = distiller.train_on_batch(images, labels, return_dict=True)
    # The rate, of 64 dimensions about 3.6 nats wide, is part of the loss.
    assert loss["loss"] - loss["loss/task"] > 1
    moved = [
        path.split("/")[-1]
        for path, value in before.items()
        if not np.array_equal(
            value, {w.path: w for w in distiller.student.weights}[path]
        )
    ]
    assert "h_0" in moved and "kernel" in moved
    first = distiller.evaluate(images, labels, verbose=0, return_dict=True)
    again = distiller.evaluate(images, labels, verbose=0, return_dict=True)
    assert first == again


def test_a_warm_up_has_no_noise_yet():
    distiller = Distiller(
        teacher=build("cnn_a"), student=with_bottleneck(build(), 0.1)
    )
    distiller.compile(optimizer="sgd")
    images = np.ones((4, 32, 32, 1))
    logs = distiller.train_on_batch(images, np.zeros(4), return_dict=True)
    assert logs["loss"] == pytest.approx(logs["loss/tap_1"])


def test_nothing_of_it_is_exported(tmp_path, images):
    student = build()
    wrapped = with_bottleneck(student, 0.005)
    student.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    graph = (tmp_path / "saved" / "saved_model.pb").read_bytes()
    assert b"ottleneck" not in graph and b"andomUniform" not in graph
    student.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    assert np.array_equal(loaded(images), wrapped(images))


def test_saved_with_the_wrapped_student(tmp_path, images):
    wrapped = with_bottleneck(build(), 0.02, rate_reduction="mean")
    wrapped.save(tmp_path / "wrapped.keras")
    loaded = keras.saving.load_model(tmp_path / "wrapped.keras")
    layer = loaded.get_layer("bottleneck")
    # Also what noise comes next.
    ones = np.ones((4, 64))
    noisy = wrapped.get_layer("bottleneck")(ones, training=True)
    assert np.array_equal(noisy, layer(ones, training=True))
    assert (layer.weight, layer.rate_reduction) == (0.02, "mean")
    for weight, loaded_weight in zip(
        wrapped.weights, loaded.weights, strict=True
    ):
        assert np.array_equal(weight, loaded_weight)


def test_errors():
    with pytest.raises(UserError, match="above 0"):
        InformationBottleneck(0)
    with pytest.raises(UserError, match="rate_reduction|reduction"):
        InformationBottleneck(1, "median")
    inputs = keras.Input((4, 4, 1))
    outputs = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(inputs))
    with pytest.raises(UserError, match="dense classifier"):
        with_bottleneck(keras.Model(inputs, outputs), 0.1)
