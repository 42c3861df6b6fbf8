import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from indistill_tf import endpoints
from indistill_tf.distillation.fused import FoldedConv2D
from indistill_tf.distillation.fused import FusedBatchNormalization
from indistill_tf.distillation.fused import fused


def network(**norm_options):
    """A residual network whose first map is read twice."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv1")(inputs)
    x = layers.BatchNormalization(name="bn1", **norm_options)(x)
    y = layers.ReLU(name="relu1")(x)
    y = layers.Conv2D(4, 3, 2, "same", use_bias=False, name="conv2")(y)
    y = layers.BatchNormalization(name="bn2", **norm_options)(y)
    x = layers.AveragePooling2D(2, name="pool")(x)
    x = layers.Add(name="add")([x, y])
    model = keras.Model(inputs, layers.Flatten(name="flat")(x))
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return model


@pytest.fixture
def images():
    random = np.random.default_rng(1)
    return random.normal(size=(6, 8, 8, 3)).astype("float32")


def kinds(model):
    return {layer.name: type(layer) for layer in model.layers}


def view(model, *names):
    return endpoints.named_view(model, names)


@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False}, {"epsilon": 0.1}]
)
def test_frozen_normalisation_becomes_part_of_the_kernel(images, options):
    whole = view(network(**options), "relu1", "flat")
    faster = fused(whole, training=False)
    assert kinds(faster)["bn1"] is kinds(faster)["bn2"] is FoldedConv2D
    assert kinds(faster)["conv1"] is layers.Identity
    found, expected = faster(images), whole(images)
    for name in ("relu1", "flat"):
        np.testing.assert_allclose(
            found[name], expected[name], rtol=1e-5, atol=1e-5
        )


def test_a_convolution_by_hand():
    inputs = keras.Input((1, 1, 1))
    x = layers.Conv2D(1, 1, name="conv")(inputs)
    norm = layers.BatchNormalization(epsilon=0.0, name="norm")
    model = keras.Model(inputs, norm(x))
    kernel, bias = np.full((1, 1, 1, 1), 3.0), np.array([5.0])
    model.get_layer("conv").set_weights([kernel, bias])
    norm.set_weights([np.array([value]) for value in (2.0, 1.0, 4.0, 16.0)])
    # (3 * 7 + 5 - 4) / sqrt(16) * 2 + 1
    found = fused(model, training=False)(np.full((1, 1, 1, 1), 7.0, "float32"))
    assert float(found[0, 0, 0, 0]) == 12.0


def test_weights_given_later_count(images):
    model = network()
    faster = fused(view(model, "flat"), training=False)
    for weight in model.weights:
        weight.assign(weight * 1.25)
    np.testing.assert_allclose(
        faster(images)["flat"], model(images), rtol=1e-4, atol=1e-4
    )


def test_what_else_reads_a_convolution_keeps_it(images):
    whole = view(network(), "conv1", "flat")
    faster = fused(whole, training=False)
    assert kinds(faster)["conv1"] is layers.Conv2D
    assert kinds(faster)["bn1"] is layers.BatchNormalization
    assert kinds(faster)["bn2"] is FoldedConv2D
    np.testing.assert_array_equal(
        faster(images)["conv1"], whole(images)["conv1"]
    )


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, activation="relu", name="conv"),
        layers.Conv2D(4, 3, groups=2, name="conv"),
        layers.DepthwiseConv2D(3, name="conv"),
    ],
    ids=["activation", "groups", "depthwise"],
)
def test_other_layers_stay(layer):
    inputs = keras.Input((8, 8, 4))
    x = layers.BatchNormalization(name="norm")(layer(inputs))
    faster = fused(keras.Model(inputs, x), training=False)
    assert faster.get_layer("conv") is layer


def trained(model, view_of, images, steps=3):
    optimizer = keras.optimizers.SGD(0.01)
    for step in range(steps):
        with tf.GradientTape() as tape:
            outputs = view_of(images + step, training=True)["flat"]
            loss = tf.reduce_mean(tf.square(outputs - 1))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
    return [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False}, {"momentum": 0.5}]
)
def test_training_moves_weights_and_averages_alike(images, options):
    plain, mine = network(**options), network(**options)
    faster = fused(view(mine, "flat"), training=True)
    assert kinds(faster)["bn1"] is FusedBatchNormalization
    assert len(faster.weights) == len(mine.weights)
    expected = trained(plain, view(plain, "flat"), images)
    for found, wanted in zip(trained(mine, faster, images), expected):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


def test_a_frozen_layer_of_a_student_does_not_move(images):
    model = network()
    model.get_layer("bn1").trainable = False
    before = model.get_layer("bn1").get_weights()
    faster = fused(view(model, "flat"), training=True)
    faster(images, training=True)
    for mine, theirs in zip(model.get_layer("bn1").get_weights(), before):
        np.testing.assert_array_equal(mine, theirs)


def test_replicas_statistics_are_left_to_keras():
    faster = fused(view(network(synchronized=True), "flat"), training=True)
    assert kinds(faster)["bn1"] is layers.BatchNormalization


@pytest.fixture
def bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_half_precision(images, bfloat16):
    whole = view(network(), "flat")
    found = fused(whole, training=False)(images)["flat"]
    assert found.dtype == "bfloat16"
    np.testing.assert_allclose(
        tf.cast(found, "float32"),
        tf.cast(whole(images)["flat"], "float32"),
        rtol=0.05,
        atol=0.3,
    )
    outputs = fused(whole, training=True)(images, training=True)
    assert outputs["flat"].dtype == "bfloat16"
