import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import auxiliary
from indistill_tf import endpoints
from indistill_tf import evaluation
from indistill_tf import models
from indistill_tf import taps
from indistill_tf.errors import UserError


@pytest.mark.parametrize(
    "shape, classes, expected",
    [((32, 32, 3), 10, 57_994), ((48, 48, 3), 30, 104_990)],
)
def test_half_rate_makes_the_papers_auxiliary(shape, classes, expected):
    student = models.build("cnn_s", shape, classes)
    widened = auxiliary.widen(student, 0.5)
    assert evaluation.parameters(widened) == expected


@pytest.mark.parametrize(
    "rate, widths", [(1 / 3, [12, 24, 48]), (3 / 4, [32, 64, 128])]
)
def test_rates(rate, widths):
    student = models.build("cnn_s", (32, 32, 3), 10)
    widened = auxiliary.widen(student, rate)
    maps = endpoints.feature_maps(widened)
    assert [tensor.shape[-1] for tensor in maps.values()] == widths
    assert widened.output_shape == (None, 10)
    assert len(taps.pair(widened, student)) == 3


def test_residual_students_are_widened_too():
    student = models.build("resnet8", (32, 32, 3), 10)
    pairs = taps.pair(auxiliary.widen(student, 0.5), student)
    assert len(pairs) == 3


def test_transformers_get_more_heads():
    sizes = dict(input_shape=(8, 8, 3), num_classes=5, patch_size=4, depth=4)
    student = models.vit(**sizes, width=8, heads=2, embedding_size=6)
    twice = models.vit(**sizes, width=16, heads=4, embedding_size=12)
    widened = auxiliary.widen(student, 0.5)
    shapes = [variable.shape for variable in widened.variables]
    assert shapes == [variable.shape for variable in twice.variables]


def test_rate_without_whole_widths():
    student = models.build("cnn_s", (32, 32, 3), 10)
    with pytest.raises(UserError, match="to a whole number"):
        auxiliary.widen(student, 0.3)


def test_rate_out_of_range():
    student = models.build("cnn_s", (32, 32, 3), 10)
    with pytest.raises(UserError, match=r"must be in \[0, 1\)"):
        auxiliary.widen(student, 1.0)


def application(name, **options):
    return getattr(keras.applications, name)(
        weights=None,
        input_shape=(32, 32, 3),
        classes=10,
        classifier_activation=None,
        **options,
    )


def users_cnn():
    """A Sequential of most kinds of layers with a width."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(6, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            layers.PReLU(shared_axes=(1, 2), name="prelu"),
            layers.MaxPooling2D(name="half"),
            layers.SeparableConv2D(8, 3, padding="same", name="separable"),
            layers.Conv2D(8, 3, groups=2, padding="same", name="grouped"),
            layers.TimeDistributed(layers.Dense(4), name="wrapped"),
            layers.Reshape((8 * 8 * 4,), name="row"),
            layers.Dense(12, activation="relu", name="hidden"),
            layers.Dense(10, name="head"),
        ]
    )


def nested():
    """A network and a head, each a model, in a model."""
    backbone = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(name="half"),
            layers.Conv2D(6, 3, padding="same", name="deep"),
        ]
    )
    head = keras.Sequential(
        [
            keras.Input((8, 8, 6)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, name="hidden"),
            layers.Dense(10, name="head"),
        ]
    )
    return keras.Sequential([keras.Input((16, 16, 3)), backbone, head])


def shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]


def check(student, expected, maps):
    """Checks a student of twice the widths, and what is paired with it."""
    widened = auxiliary.widen(student, pruning_rate=0.5)
    for name, shape in expected.items():
        assert shapes(widened.get_layer(name))[0] == shape, name
    assert widened.output_shape == student.output_shape == (None, 10)
    size = student.inputs[0].shape[1:]
    images = np.random.default_rng(0).normal(size=(2, *size))
    logits = np.asarray(widened(images.astype("float32")))
    assert logits.shape == (2, 10)
    assert np.isfinite(logits).all() and np.ptp(logits) > 0
    student = endpoints.flattened(student)
    pairs = taps.pair(widened, student)
    assert [pair.teacher_layer for pair in pairs] == maps
    assert [pair.student_layer for pair in pairs] == maps
    for line in taps.describe(pairs, widened, student):
        assert ", pruning rate 0.5, " in line


def test_layers_with_a_width():
    expected = {
        "conv": (3, 3, 3, 12),
        "norm": (12,),
        "depthwise": (3, 3, 12, 1),
        "prelu": (1, 1, 12),
        "separable": (3, 3, 12, 1),
        "grouped": (3, 3, 8, 16),
        "wrapped": (16, 8),
        "hidden": (8 * 8 * 8, 24),
        "head": (24, 10),
    }
    check(users_cnn(), expected, ["prelu", "wrapped"])


def test_nested_models():
    expected = {
        "conv": (3, 3, 3, 8),
        "norm": (8,),
        "deep": (3, 3, 8, 12),
        "hidden": (12, 10),
        "head": (10, 10),
    }
    check(nested(), expected, ["norm", "deep"])


def test_sum_with_the_image_is_an_error():
    inputs = keras.Input((8, 8, 4))
    x = layers.Add()([layers.Conv2D(4, 3, padding="same")(inputs), inputs])
    x = layers.GlobalAveragePooling2D()(x)
    student = keras.Model(inputs, layers.Dense(10)(x), name="own")
    with pytest.raises(UserError, match="'own' cannot be widened.*yourself"):
        auxiliary.widen(student)


@pytest.mark.slow
def test_mobilenet_v2():
    # alpha = 0.35: 16, 8, 8, ..., 112 channels, each expanded by 6.
    expected = {
        "Conv1": (3, 3, 3, 32),
        "expanded_conv_depthwise": (3, 3, 32, 1),
        "expanded_conv_project": (1, 1, 32, 16),
        "block_1_expand": (1, 1, 16, 96),
        "block_1_expand_BN": (96,),
        "Conv_1": (1, 1, 224, 2560),
        "predictions": (2560, 10),
    }
    maps = [f"block_{number}_expand_relu" for number in (1, 3, 6, 13)]
    student = application("MobileNetV2", alpha=0.35)
    check(student, expected, [*maps, "out_relu"])


@pytest.mark.slow
def test_efficientnet_b0():
    expected = {
        "stem_conv": (3, 3, 3, 64),
        "block1a_dwconv": (3, 3, 64, 1),
        # 32 / 4 channels of the first gate.
        "block1a_se_reduce": (1, 1, 64, 16),
        "block1a_se_expand": (1, 1, 16, 64),
        "block2a_expand_bn": (192,),
        "top_conv": (1, 1, 640, 2560),
        "predictions": (2560, 10),
    }
    maps = [f"block{number}a_expand_activation" for number in (2, 3, 4, 6)]
    check(application("EfficientNetB0"), expected, [*maps, "top_activation"])


@pytest.mark.slow
def test_mobilenet_v3_small():
    # Its activations have no names of their own, so they are found by place.
    student = application("MobileNetV3Small", alpha=0.75)
    expected = {
        "conv": (3, 3, 3, 32),
        "expanded_conv_depthwise": (3, 3, 32, 1),
        "expanded_conv_squeeze_excite_conv": (1, 1, 32, 16),
        "expanded_conv_1_expand": (1, 1, 32, 144),
        "conv_1_bn": (864,),
        "conv_2": (1, 1, 864, 2048),
        "logits": (1, 1, 2048, 10),
    }
    maps = list(endpoints.feature_maps(student))
    assert [
        tuple(endpoints.endpoint(student, name).shape[1:]) for name in maps
    ] == [
        (16, 16, 16),
        (8, 8, 72),
        (4, 4, 96),
        (2, 2, 240),
        (1, 1, 432),
    ]
    check(student, expected, maps)
