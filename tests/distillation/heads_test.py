"""What networks end in, from the first step of a distillation to its export."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import indistill_tf
from indistill_tf import losses
from indistill_tf import methods
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError

SHAPE = (6, 6, 1)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(32, *SHAPE)).astype("float32")
CLASSES = RANDOM.integers(0, 4, 32)
YES_OR_NO = RANDOM.integers(0, 2, 32)
MANY = RANDOM.integers(0, 2, (32, 4))


IGNORING = keras.losses.SparseCategoricalCrossentropy(
    from_logits=True, ignore_class=-1
)


def network(units=4, activation=None, end=None, name=None):
    images = keras.Input(SHAPE)
    x = layers.Conv2D(3, 3, name="tap_1")(images)
    x = layers.GlobalAveragePooling2D()(x)
    wide = keras.initializers.RandomNormal(stddev=4.0)
    x = layers.Dense(units, activation, kernel_initializer=wide)(x)
    return keras.Model(images, end(x) if end else x, name=name)


def distiller(teacher, student, method="okd", compile=None, **options):
    result = indistill_tf.Distiller(
        teacher=teacher, student=student, method=method, **options
    )
    # Without a rate, so that the networks stay what the loss is checked by.
    result.compile(keras.optimizers.SGD(0.0), **(compile or {}))
    return result


def first_loss(model, labels, name="loss/task"):
    logs = model.train_on_batch(IMAGES, labels, return_dict=True)
    return float(logs[name])


def divergence(teacher, student, temperature=4.0):
    """What `okd` is, of probabilities `[N, ..., C]`."""
    softened = []
    for values in (teacher, student):
        logits = np.log(np.asarray(values, "float64")) / temperature
        powers = np.exp(logits)
        softened.append(powers / powers.sum(axis=-1, keepdims=True))
    target, answer = softened
    divergence = (target * np.log(target / answer)).sum(axis=-1)
    return temperature**2 * divergence.mean()


def both(probabilities):
    """Yes and no of each sigmoid, `[N, K, 2]`."""
    yes = np.asarray(probabilities, "float64")
    return np.stack([yes, 1 - yes], axis=-1)


@pytest.mark.parametrize(
    "end",
    [layers.Softmax(), layers.Lambda(lambda x: ops.softmax(x))],
    ids=["layer", "lambda"],
)
def test_probabilities_of_classes(end):
    networks = network(end=end), network(activation="softmax")
    model = distiller(*networks)
    assert model.student_head == "softmax"
    expected = divergence(networks[0](IMAGES), networks[1](IMAGES))
    assert first_loss(model, CLASSES) == pytest.approx(expected, rel=1e-4)
    assert expected > 0.5


@pytest.mark.parametrize("method", ["okd", "takd", "dgkd"])
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_sigmoid(method, activation):
    networks = network(1, "sigmoid"), network(1, activation)
    method = methods.get(method, supervised_weight=1.0)
    if method.name == "dgkd":
        method = methods.get(method, task_options={"dropout": 0.0})
    model = distiller(*networks, method, {"metrics": ["accuracy"]})
    values = [np.array(item(IMAGES)) for item in networks]
    if activation is None:
        values[1] = np.array(ops.sigmoid(values[1]))
    logs = model.train_on_batch(IMAGES, YES_OR_NO, return_dict=True)
    expected = divergence(*map(both, values))
    assert float(logs["loss/task"]) == pytest.approx(expected, rel=1e-4)
    right = (values[1][:, 0] > 0.5) == YES_OR_NO
    assert float(logs["accuracy"]) == pytest.approx(right.mean())
    entropy = -np.log(np.where(YES_OR_NO, values[1][:, 0], 1 - values[1][:, 0]))
    assert float(logs["loss/supervised"]) == pytest.approx(
        entropy.mean(), rel=1e-4
    )


@pytest.mark.parametrize("labels", [MANY, CLASSES], ids=["many", "classes"])
def test_several_sigmoids(labels):
    networks = network(activation="sigmoid"), network()
    method = methods.get("okd", supervised_weight=1.0)
    model = distiller(*networks, method, {"metrics": ["accuracy"]})
    # The student's logits are read as the teacher's output is.
    assert model.student_head == "sigmoid"
    logits = np.array(networks[1](IMAGES), "float64")
    answers = 1 / (1 + np.exp(-logits))
    logs = model.train_on_batch(IMAGES, labels, return_dict=True)
    expected = divergence(both(networks[0](IMAGES)), both(answers))
    assert float(logs["loss/task"]) == pytest.approx(expected, rel=1e-4)
    wanted = labels if labels.ndim == 2 else np.eye(4)[labels]
    entropy = -np.log(np.where(wanted, answers, 1 - answers)).mean()
    assert float(logs["loss/supervised"]) == pytest.approx(entropy, rel=1e-4)
    right = (answers > 0.5) == wanted
    if labels.ndim == 1:
        right = logits.argmax(axis=1) == labels
    assert float(logs["accuracy"]) == pytest.approx(right.mean())


def test_logits_of_labels_are_said_to_be_so():
    networks = network(), network()
    model = distiller(*networks, head="sigmoid")
    values = [both(ops.sigmoid(item(IMAGES))) for item in networks]
    assert first_loss(model, MANY) == pytest.approx(divergence(*values))


@pytest.mark.parametrize("method", ["dist", "dkd", "normkd", "hsakd", "cifd"])
def test_methods_of_classes_refuse_sigmoids(method):
    networks = network(1, "sigmoid"), network(1, "sigmoid")
    with pytest.raises(UserError, match=f"Method '{method}'.*'okd'.*'pkt'"):
        distiller(*networks, method)


@pytest.mark.parametrize(
    "method", ["pkt", "similarity_okd", "srrl", "at", "hints"]
)
def test_methods_of_maps_and_embeddings_take_sigmoids(method):
    networks = network(1, "sigmoid"), network(1, "sigmoid")
    model = distiller(*networks, methods.get(method, supervised_weight=1.0))
    logs = model.train_on_batch(IMAGES, YES_OR_NO, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())


def test_losses_of_ones_own_between_sigmoids():
    networks = network(activation="sigmoid"), network(activation="sigmoid")
    values = [np.array(item(IMAGES), "float64") for item in networks]
    method = methods.get("indistill", task="binary_crossentropy")
    term = distiller(*networks, method).distillation_losses[-1]
    logits = [np.log(value / (1 - value)) for value in values]
    target, answer = values
    entropy = target * np.log(answer) + (1 - target) * np.log(1 - answer)
    assert float(term(*logits)) == pytest.approx(-entropy.mean(), rel=1e-4)
    refused = methods.get("indistill", task="kl_divergence")
    with pytest.raises(UserError, match="kl_divergence takes no sigmoids"):
        distiller(*networks, refused)
    made = methods.get("indistill", task=[(losses.SoftenedKL(), 1.0)])
    with pytest.raises(UserError, match="sigmoid=False.*`sigmoid=True`"):
        distiller(*networks, made)


def test_outputs_that_do_not_fit_together():
    with pytest.raises(UserError, match="'softmax' and .*'sigmoid'.*'pkt'"):
        distiller(network(activation="softmax"), network(activation="sigmoid"))
    # Of what a method does not read it asks nothing.
    distiller(
        network(activation="softmax"), network(activation="sigmoid"), "pkt"
    )


def test_losses_of_another_kind_of_output():
    loss = {"loss": "sparse_categorical_crossentropy"}
    with pytest.raises(UserError, match="classes that exclude each other"):
        distiller(network(1, "sigmoid"), network(1, "sigmoid"), "pkt", loss)
    loss = {"loss": keras.losses.BinaryCrossentropy(from_logits=True)}
    with pytest.raises(UserError, match='`head="sigmoid"`'):
        distiller(network(), network(), compile=loss)
    distiller(network(), network(), compile=loss, head="sigmoid")


def test_labels_of_another_kind_of_output():
    method = methods.get("okd", supervised_weight=1.0)
    model = distiller(network(), network(), method)
    with pytest.raises(UserError, match="one-hot rows.*several labels"):
        first_loss(model, MANY)


SMOOTHED = losses.SmoothedCrossentropy(0.1)
NAMED = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    "units, activation, loss, labels, range",
    [
        (1, "sigmoid", None, CLASSES, "0 to 1. Received: from 0 to 3."),
        (1, "sigmoid", None, -YES_OR_NO, "0 to 1. Received: from -1 to 0."),
        (4, "sigmoid", None, 2 * MANY, "0 to 1. Received: from 0 to 2."),
        (4, "sigmoid", None, CLASSES + 1, "0 to 3. Received: from 1 to 4."),
        (4, None, None, CLASSES + 1, "0 to 3. Received: from 1 to 4."),
        (4, "softmax", None, CLASSES - 1, "0 to 3. Received: from -1 to 2."),
        (4, None, SMOOTHED, CLASSES + 1, "0 to 3. Received: from 1 to 4."),
        (4, "softmax", NAMED, CLASSES + 1, "0 to 3. Received: from 1 to 4."),
    ],
)
def test_labels_out_of_range(units, activation, loss, labels, range):
    method = methods.get("indistill", schedule=Curriculum(1, 0))
    compile = {"loss": loss} if loss else {}
    # Also while the taps warm up: in arrays all labels are seen at once, of
    # other data those of each batch.
    batches = tf.data.Dataset.from_tensors((IMAGES, labels)).repeat()
    wanted = re.escape(f"Labels of this output are from {range}")
    once = dict(steps_per_epoch=1, epochs=2, verbose=0, shuffle=False)
    for fit in (
        lambda model: model.fit(IMAGES, labels, **once),
        lambda model: model.fit(batches, **once),
        lambda model: model.train_on_batch(IMAGES, labels),
        lambda model: model.fit(
            IMAGES, 0 * labels, validation_data=(IMAGES, labels), **once
        ),
    ):
        teacher, student = network(units), network(units, activation)
        with pytest.raises(UserError, match=wanted) as error:
            fit(distiller(teacher, student, method, compile))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("loss", [None, SMOOTHED])
def test_labels_out_of_range_in_a_later_batch(loss):
    labels = [CLASSES, CLASSES, CLASSES + 1]
    batches = tf.data.Dataset.from_tensor_slices(([IMAGES] * 3, labels))
    compile = {"loss": loss} if loss else {}
    model = distiller(network(), network(), compile=compile)
    for _ in range(2):
        with pytest.raises(UserError, match="Received: from 1 to 4"):
            model.fit(batches, verbose=0, shuffle=False)


@pytest.mark.parametrize(
    "activation, loss, labels",
    [
        (None, None, CLASSES),
        ("sigmoid", None, MANY.astype("bool")),
        (None, IGNORING, CLASSES - 1),
    ],
)
def test_labels_in_range(activation, loss, labels):
    compile = {"loss": loss} if loss else {}
    model = distiller(network(), network(4, activation), compile=compile)
    model.fit(IMAGES, labels, verbose=0)


def test_class_weights_without_labels():
    model = distiller(network(), network(), methods.get("okd"))
    for data in (IMAGES, tf.data.Dataset.from_tensor_slices(IMAGES).batch(8)):
        with pytest.raises(UserError, match="`class_weight` weighs images by"):
            model.fit(data, class_weight={0: 1.0}, verbose=0)


def two_outputs(units=4):
    images = keras.Input(SHAPE)
    x = layers.Flatten()(images)
    names = ("main", "other")
    return keras.Model(
        images, {name: layers.Dense(units, name=name)(x) for name in names}
    )


def test_one_of_several_outputs():
    teacher, student = two_outputs(), two_outputs()
    with pytest.raises(UserError, match="2 outputs: main, other"):
        distiller(teacher, student)
    model = distiller(teacher, student, outputs=("other", "main"))
    values = teacher(IMAGES)["other"], student(IMAGES)["main"]
    expected = losses.softened_kl(*values)
    assert first_loss(model, CLASSES) == pytest.approx(
        float(expected), rel=1e-4
    )
    predicted = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(predicted, values[1], rtol=1e-4, atol=1e-5)
    entropy = keras.losses.sparse_categorical_crossentropy(
        CLASSES, values[1], from_logits=True
    )
    assert model.evaluate(IMAGES, CLASSES, verbose=0) == pytest.approx(
        float(np.mean(entropy)), rel=1e-4
    )


def test_outputs_of_a_model_inside_keep_their_names():
    images = keras.Input(SHAPE)
    found = two_outputs()(images)
    renamed = {"first": found["other"], "second": found["main"]}
    student = keras.Model(images, renamed)
    with pytest.raises(UserError, match="2 outputs: first, second"):
        distiller(network(), student)
    model = distiller(network(), student, outputs="first")
    predicted = model.predict(IMAGES, verbose=0)
    expected = student(IMAGES)["first"]
    np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-5)


def ensemble(activation):
    """Two networks of one file each: their layers have the same names."""
    images = keras.Input(SHAPE)
    first = network(activation=activation, name="first")
    second = keras.models.clone_model(first)
    second = keras.Model(second.input, second.output, name="second")
    outputs = layers.Average()([first(images), second(images)])
    return keras.Model(images, outputs, name="ensemble")


@pytest.mark.parametrize("activation", ["softmax", None])
def test_ensemble_of_layers_of_the_same_names(activation):
    teacher, student = ensemble(activation), network()
    values = teacher(IMAGES), ops.softmax(student(IMAGES))
    if activation is None:
        values = ops.softmax(values[0]), values[1]
    loss = first_loss(distiller(teacher, student), CLASSES)
    assert loss == pytest.approx(divergence(*values), rel=1e-4)
    for method in ("pkt", "at"):
        with pytest.raises(UserError, match='name "conv2d|"tap_1" is used 2'):
            distiller(teacher, student, method)


def test_output_alone_of_channels_first():
    images = keras.Input((1, 6, 6))
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(images)
    teacher = keras.Model(images, layers.Dense(4)(x))
    student = keras.models.clone_model(teacher)
    distiller(teacher, student, "pkt")
    x = layers.Conv2D(2, 1, data_format="channels_first")(images)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    student = keras.Model(images, layers.Dense(4)(x))
    with pytest.raises(UserError, match="channels_first"):
        distiller(student, keras.models.clone_model(student), "at")
