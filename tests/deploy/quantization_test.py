import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from indistill_tf import Distiller
from indistill_tf import deploy
from indistill_tf.deploy import quantization
from indistill_tf.errors import UserError


def distinct(kernel):
    """Returns how many values each output channel of a kernel has."""
    channels = np.reshape(kernel, (-1, kernel.shape[-1])).T
    return [len(np.unique(channel)) for channel in channels]


def test_rounding_by_hand():
    kernel = np.array([[7.0, -0.7], [3.4, 0.33], [-3.6, 0.0]], "float32")
    found = quantization.rounded(kernel, 4, (0,))
    # The scales are 1 and 0.1.
    expected = [[7, -0.7], [3, 0.3], [-4, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    found = quantization.rounded(kernel, 4, (0, 1))
    np.testing.assert_allclose(found, [[7, -1], [3, 0], [-4, 0]])


def test_zero_kernel_stays_zero():
    zeros = np.zeros((3, 3, 1, 2), "float32")
    np.testing.assert_array_equal(
        quantization.rounded(zeros, 4, (0, 1, 2)), zeros
    )


# The first kernel has 8 bits, and so has a depthwise one.
@pytest.mark.parametrize(
    ("before", "layer", "axes", "most"),
    [
        ([], layers.Conv2D(4, 3, name="layer"), (0, 1, 2), 127),
        (
            [layers.Conv2D(3, 1)],
            layers.Conv2D(4, 3, name="layer"),
            (0, 1, 2),
            7,
        ),
        (
            [layers.Conv2D(3, 1)],
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="layer"),
            (0, 1),
            127,
        ),
    ],
)
def test_layers_compute_with_the_rounded_kernel(before, layer, axes, most):
    model = keras.Sequential([keras.Input((8, 8, 3)), *before, layer])
    clone = deploy.quantized(model, weight_bits=4)
    plain = deploy.strip(clone)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(clone(x), plain(x), rtol=1e-4, atol=1e-5)
    kernel = plain.get_layer("layer").kernel.numpy()
    assert np.abs(kernel - layer.kernel.numpy()).max() > 1e-4
    multiples = most * kernel / np.abs(kernel).max(axes, keepdims=True)
    np.testing.assert_allclose(multiples, np.round(multiples), atol=1e-3)
    assert type(plain.get_layer("layer")) is type(layer)


def test_gradient_passes_the_rounding():
    same = layers.Dense(
        3, use_bias=False, kernel_initializer="identity", name="same"
    )
    dense = layers.Dense(1, use_bias=False, name="dense")
    model = keras.Sequential([keras.Input((3,)), same, dense])
    dense.kernel.assign([[0.7], [0.33], [-0.2]])
    clone = deploy.quantized(model, weight_bits=4)
    x = np.array([[1.0, 2.0, 4.0]], "float32")
    with tf.GradientTape() as tape:
        output = clone(x)
    np.testing.assert_allclose(output, [[0.7 + 2 * 0.3 - 4 * 0.2]], atol=1e-5)
    gradient = tape.gradient(output, clone.trainable_variables)[-1]
    np.testing.assert_allclose(gradient, x.T)


def test_activations_are_rounded_within_the_range_met():
    layer = quantization.FakeQuantization()
    x = np.array([0.0, 0.3, 25.5], "float32")
    np.testing.assert_array_equal(layer(x), x)
    layer(x, training=True)
    # 255 steps of 0.1.
    y = np.array([0.12, 12.34, 30.0], "float32")
    np.testing.assert_allclose(layer(y), [0.1, 12.3, 25.5], atol=1e-4)
    layer(x / 100, training=True)
    assert layer.highest.numpy() == pytest.approx(0.99 * 25.5)


def test_distiller_trains_it_at_the_same_taps(build, batch):
    student = build("cnn_s")
    before = [weight.numpy() for weight in student.weights]
    clone = deploy.quantized(student, weight_bits=4)
    distiller = Distiller(teacher=build("cnn_a"), student=clone)
    distiller.compile(optimizer=keras.optimizers.Adam(1e-2))
    names = [tap.student_layer for tap in distiller.taps]
    assert names == ["tap_1", "tap_2", "tap_3"]
    distiller.set_epoch(20)
    distiller.train_on_batch(*batch)
    plain = deploy.strip(clone)
    assert [layer.name for layer in plain.layers] == [
        layer.name for layer in student.layers
    ]
    for name in ("conv2", "fc1"):
        kernel = plain.get_layer(name).kernel
        assert max(distinct(kernel)) <= 15
        assert np.ptp(kernel - student.get_layer(name).kernel) > 1e-3
    for mine, theirs in zip(before, student.weights):
        np.testing.assert_array_equal(mine, theirs)


def test_clone_is_saved_and_read(build, batch, tmp_path):
    clone = deploy.quantized(build("cnn_s"), weight_bits=4)
    clone(batch[0], training=True)
    clone.save(tmp_path / "clone.keras")
    read = keras.models.load_model(tmp_path / "clone.keras")
    np.testing.assert_array_equal(read(batch[0]), clone(batch[0]))
    bits = [read.get_layer(name).weight_bits for name in ("conv1", "conv2")]
    assert bits == [8, 4]


def test_nested_and_sequential_models_are_taken():
    inner = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(2, 3, activation="relu")]
    )
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), inner, layers.Flatten(), layers.Dense(3)]
    )
    clone = deploy.quantized(model)
    kinds = [type(layer).__name__ for layer in clone.layers]
    assert kinds == [
        "InputLayer",
        "QuantizedConv2D",
        "FakeQuantization",
        "Flatten",
        "QuantizedDense",
    ]


def test_what_cannot_be_compressed_is_named(caplog):
    sequence = keras.Input((4, 6))
    x = layers.Dense(3, name="dense")(layers.GRU(5, name="gru")(sequence))
    deploy.quantized(keras.Model(sequence, x))
    assert "Kernels of 'gru' (GRU) stay as they are" in caplog.text
    alone = keras.Model(sequence, layers.GRU(5, name="gru")(sequence))
    with pytest.raises(UserError, match=r"Received: 'gru' \(GRU\); expected C"):
        deploy.quantized(alone)
    with pytest.raises(UserError, match="Received: weight_bits=3"):
        deploy.quantized(alone, weight_bits=3)


def test_a_layer_without_a_config_is_named():
    class Scaled(layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

    vector = keras.Input((3,))
    dense = layers.Dense(3)(vector)
    model = keras.Model(vector, Scaled(np.ones(3), name="s")(dense))
    with pytest.raises(UserError, match=r"Layer 's' \(Scaled\) cannot be clon"):
        deploy.quantized(model)
