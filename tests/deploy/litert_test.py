import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf.deploy import litert
from indistill_tf.deploy import weight_types
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def deployable(build, small_images):
    return Deployable(build("cnn_s"), small_images.preprocessing)


@pytest.fixture(scope="module")
def float32(deployable):
    return litert.convert(deployable, "float32")


@pytest.fixture(scope="module")
def pixels(deployable, small_images):
    return deployable.sized(small_images.test.images[:20])


@pytest.mark.parametrize(
    "kind, bits, cosine",
    [
        ("float32", 32, 0.999999),
        ("fp16", 16, 0.9999),
        ("dynamic", 8, 0.999),
        ("int8", 8, 0.98),
        ("int4", 4, 0.97),
    ],
)
def test_kinds_say_what_the_network_says(
    deployable, pixels, small_images, kind, bits, cosine
):
    if kind == "int4":
        pytest.importorskip("litert_quantizer")
    content = litert.convert(deployable, kind, small_images.train.images[:20])
    # 14,906 weights, and a few kilobytes that describe the graph.
    assert len(content) < 14906 * bits / 8 + 12_000
    said = litert.Runner(content).predict(pixels)
    expected = deployable.predict(pixels)
    assert said["probabilities"].shape == (20, 10)
    alike = np.sum(said["embedding"] * expected["embedding"], axis=1)
    assert alike.min() > cosine
    if bits > 8:
        np.testing.assert_allclose(
            said["probabilities"], expected["probabilities"], atol=2e-3
        )


def test_int4_rounds_the_kernels_that_keras_has(small_images):
    """Were the normalisation folded into them, others would be rounded."""
    pytest.importorskip("litert_quantizer")
    model = one_convolution()
    preprocessing = small_images.preprocessing
    images = small_images.test.images[:10]
    said = litert.Runner(
        litert.convert(Deployable(model, preprocessing), "int4")
    ).predict(Deployable(model, preprocessing).sized(images))
    for layer, steps in ((model.layers[1], 127), (model.layers[-1], 7)):
        kernel = layer.kernel.numpy()
        # A step for each output channel; so many to either side.
        axes = tuple(range(kernel.ndim - 1))
        step = np.abs(kernel).max(axis=axes, keepdims=True) / steps
        layer.kernel.assign(np.round(kernel / step) * step)
    expected = Deployable(model, preprocessing).predict(images)
    # What is left is the rounding of activations to 8 bits.
    np.testing.assert_allclose(
        said["probabilities"], expected["probabilities"], atol=0.01
    )


def one_convolution():
    images = keras.Input((32, 32, 1))
    x = layers.Conv2D(8, 5, strides=3, activation="relu")(images)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(4)(x))


def test_some_kernels_have_8_bits_where_others_have_4(small_images):
    pytest.importorskip("litert_quantizer")
    images = keras.Input((32, 32, 1))
    x = layers.Conv2D(8, 3, strides=4)(images)
    x = layers.Conv2D(8, 1)(x)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, layers.Dense(4)(x))
    deployable = Deployable(model, small_images.preprocessing)
    found = weight_types.kernels(litert.convert(deployable, "int4"))
    assert found == [
        weight_types.Kernel("CONV_2D", "INT8", 72),
        weight_types.Kernel("CONV_2D", "INT4", 64),
        weight_types.Kernel("DEPTHWISE_CONV_2D", "INT8", 72),
        weight_types.Kernel("FULLY_CONNECTED", "INT4", 32),
    ]


def test_weights_of_another_type_are_refused(float32):
    with pytest.raises(
        UserError, match="int8' are INT8. Received: 3 x CONV_2D"
    ):
        weight_types.check(float32, "int8")


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype("float32"),
        lambda x: x[:, 2:30, 2:30],
        lambda x: x[0],
        lambda x: x[..., 0],
        lambda x: x[:0],
        lambda x: x[0, 0, 0, 0],
    ],
)
def test_images_that_a_file_does_not_read(float32, pixels, change):
    runner = litert.Runner(float32)
    with pytest.raises(UserError, match="reads uint8 images of the shape"):
        runner.predict(change(pixels))


def test_a_network_that_litert_cannot_take(small_images):
    images = keras.Input((32, 32, 1))
    x = layers.Flatten(dtype="float16")(images)
    model = keras.Model(images, layers.Dense(3, dtype="float16")(x))
    deployable = Deployable(model, small_images.preprocessing)
    message = "cannot take this network: it lacks .*MatMul"
    with pytest.raises(UserError, match=message):
        litert.convert(deployable, "float32")


def test_unknown_kind(deployable):
    with pytest.raises(UserError, match="kind of LiteRT file: 'int2'"):
        litert.convert(deployable, "int2")


def test_latency(float32):
    runner = litert.Runner(float32, threads=2)
    latency = runner.latency(repeats=5, warm_up=1)
    assert 0 < latency.minimum <= latency.median <= latency.p95 < 1000


def test_summary_of_latencies():
    found = litert.summary([0.001 * x for x in range(1, 22)])
    assert found == pytest.approx(litert.Latency(11, 20, 1))
