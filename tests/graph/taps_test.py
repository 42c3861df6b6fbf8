import re

import keras
import pytest
from keras import layers

from indistill_tf import models
from indistill_tf import taps
from indistill_tf.errors import UserError


def build(name, **options):
    return models.build(name, (32, 32, 3), 10, **options)


def test_automatic_pairs_have_equal_sizes():
    pairs = taps.pair(build("cnn_a"), build("cnn_s"))
    assert pairs == [taps.Tap(f"tap_{i}", f"tap_{i}") for i in (1, 2, 3)]


def test_several_maps_of_one_size_pair_in_order():
    pairs = taps.pair(build("cnn_a_5"), build("cnn_s_5"))
    assert pairs == [taps.Tap(f"tap_{i}", f"tap_{i}") for i in range(1, 6)]


def test_no_equal_size_proposes_an_auxiliary():
    with pytest.raises(UserError, match='`auxiliary="auto"`'):
        taps.pair(build("resnet8"), build("cnn_s"))


def test_named_pairs_are_checked():
    teacher, student = build("cnn_a"), build("cnn_s")
    assert len(taps.pair(teacher, student, [("tap_2", "tap_2")])) == 1
    with pytest.raises(UserError, match="Heights and widths differ.*15 x 15"):
        taps.pair(teacher, student, [("tap_1", "tap_2")])
    with pytest.raises(UserError, match="must be feature maps"):
        taps.pair(teacher, student, [("embedding", "embedding")])
    with pytest.raises(UserError, match="no layer 'conv9'"):
        taps.pair(teacher, student, [("conv9", "tap_1")])


def test_wider_student_is_an_error():
    teacher, student = build("cnn_s"), build("cnn_a")
    with pytest.raises(UserError, match="at least the channels.*`auxiliary="):
        taps.pair(teacher, student)
    with pytest.raises(UserError, match="student is wider than the teacher"):
        taps.pair(teacher, student, [("tap_1", "tap_1")])


def test_describe():
    teacher, student = build("cnn_a"), build("cnn_s_2")
    pairs = taps.pair(teacher, student)
    assert taps.describe(pairs, teacher, student) == [
        "tap_1 15 x 15 x 16 -> tap_1 15 x 15 x 8, pruning rate 0.5, rebuilt "
        "from conv1",
        "tap_3 2 x 2 x 64 -> tap_2 2 x 2 x 16, pruning rate 0.75, rebuilt from "
        "conv3",
    ]
    unpruned = taps.describe(pairs, teacher, student, pruned=False)
    assert unpruned[0] == "tap_1 15 x 15 x 16 -> tap_1 15 x 15 x 8"


def test_maps_too_wide_or_without_partner_are_left_out():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, padding="same", name="a")(inputs)
    x = layers.Conv2D(32, 3, strides=2, padding="same", name="b")(x)
    x = layers.MaxPooling2D(3, name="c")(x)
    x = layers.GlobalAveragePooling2D()(x)
    student = keras.Model(inputs, layers.Dense(10)(x), name="student")
    teacher = build("resnet8")
    with pytest.raises(UserError, match="Name pairs that fit"):
        taps.pair(teacher, build("cnn_s"))
    pairs = taps.pair(teacher, student)
    assert pairs == [taps.Tap("tap_1", "a"), taps.Tap("tap_2", "b")]
    lines = taps.describe(pairs, teacher, student)
    assert lines[2] == (
        "left out: c 5 x 5 x 32, the teacher has no map of this size"
    )
    narrower = build("resnet8", widths=(16, 16, 16, 64))
    pairs = taps.pair(narrower, student)
    assert pairs == [taps.Tap("tap_1", "a")]
    assert taps.describe(pairs, narrower, student)[1] == (
        "left out: b 16 x 16 x 32, the teacher's map has 16 channels"
    )


def test_unpruned_maps_of_other_sizes_pair_from_the_deepest_up():
    teacher, student = build("resnet8"), build("cnn_s_2")
    pairs = taps.pair(teacher, student, pruned=False)
    assert pairs == [taps.Tap("tap_2", "tap_1"), taps.Tap("tap_3", "tap_2")]
    with pytest.raises(UserError, match="No feature map"):
        taps.pair(teacher, student)


@pytest.mark.parametrize(
    "count, choice, expected",
    [
        (3, "all", [(0,), (1,), (2,)]),
        (3, "middle", [(1,)]),
        (4, "middle", [(1,)]),
        (1, "middle", [(0,)]),
        (3, "last", [(2,)]),
        (3, "consecutive", [(0, 1), (1, 2)]),
    ],
)
def test_choice_of_pairs(count, choice, expected):
    assert taps.choose(range(count), choice) == expected


def test_choices_that_cannot_be():
    with pytest.raises(UserError, match="needs two or more"):
        taps.choose([taps.Tap("a", "b")], "consecutive")
    with pytest.raises(UserError, match="Unknown choice of taps: 'first'"):
        taps.choose([], "first")


def application(name, **options):
    return getattr(keras.applications, name)(
        weights=None,
        input_shape=(64, 64, 3),
        classes=10,
        classifier_activation=None,
        **options,
    )


def users_cnn(shape=(64, 64, 3), widths=(16, 32, 64, 96, 128, 192)):
    """A Sequential whose maps halve in size up to the last."""
    model = keras.Sequential([keras.Input(shape)])
    for number, width in enumerate(widths, start=1):
        model.add(layers.Conv2D(width, 3, padding="same", name=f"c_{number}"))
        model.add(layers.ReLU(name=f"r_{number}"))
        model.add(layers.MaxPooling2D(name=f"p_{number}"))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    return model


def described(teacher, student):
    """The lines, without what Keras appends to names given twice."""
    pairs = taps.pair(teacher, student)
    lines = taps.describe(pairs, teacher, student)
    return [re.sub(r" (activation|re_lu)_\d+ ", r" \1 ", x) for x in lines]


@pytest.mark.slow
def test_resnet50_to_mobilenet_v2():
    assert described(application("ResNet50"), application("MobileNetV2")) == [
        "conv1_relu 32 x 32 x 64 -> expanded_conv_project_BN 32 x 32 x 16, "
        "pruning rate 0.75, rebuilt from conv1_conv, in place of the student's "
        "block_1_expand_relu (96 channels)",
        "conv2_block3_out 16 x 16 x 256 -> block_3_expand_relu 16 x 16 x 144, "
        "pruning rate 0.438, rebuilt from conv2_block3_3_conv",
        "conv3_block4_out 8 x 8 x 512 -> block_6_expand_relu 8 x 8 x 192, "
        "pruning rate 0.625, rebuilt from conv3_block4_3_conv",
        "conv4_block6_out 4 x 4 x 1024 -> block_13_expand_relu 4 x 4 x 576, "
        "pruning rate 0.438, rebuilt from conv4_block6_3_conv",
        "conv5_block3_out 2 x 2 x 2048 -> out_relu 2 x 2 x 1280, "
        "pruning rate 0.375, rebuilt from conv5_block3_3_conv",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("teacher", "student", "layers"),
    [
        (
            "EfficientNetV2B0",
            "EfficientNetB0",
            [
                ("block1a_project_activation", "block1a_project_bn"),
                ("block2b_add", "block2b_add"),
                ("block3b_add", "block3b_add"),
                ("block6a_expand_activation", "block6a_expand_activation"),
                ("top_activation", "top_activation"),
            ],
        ),
        (
            "ConvNeXtTiny",
            "MobileNetV2",
            [
                ("convnext_tiny_stage_0_block_2_identity", "block_2_add"),
                # Here the expansion fits, and is the last map.
                (
                    "convnext_tiny_stage_1_block_2_identity",
                    "block_6_expand_relu",
                ),
                ("convnext_tiny_stage_2_block_8_identity", "block_12_add"),
                (
                    "convnext_tiny_stage_3_block_2_identity",
                    "block_16_project_BN",
                ),
            ],
        ),
    ],
)
def test_outputs_of_blocks_where_expansions_are_too_wide(
    teacher, student, layers
):
    pairs = taps.pair(application(teacher), application(student))
    assert pairs == [taps.Tap(*names) for names in layers]


@pytest.mark.slow
def test_efficientnet_b0_to_mobilenet_v3_small():
    networks = map(application, ("EfficientNetB0", "MobileNetV3Small"))
    assert described(*networks) == [
        "block2a_expand_activation 32 x 32 x 96 -> activation 32 x 32 x 16, "
        "pruning rate 0.833, rebuilt from block2a_expand_conv",
        "block3a_expand_activation 16 x 16 x 144 -> re_lu 16 x 16 x 72, "
        "pruning rate 0.5, rebuilt from block3a_expand_conv",
        "block4a_expand_activation 8 x 8 x 240 -> activation 8 x 8 x 96, "
        "pruning rate 0.6, rebuilt from block4a_expand_conv",
        "block6a_expand_activation 4 x 4 x 672 -> activation 4 x 4 x 288, "
        "pruning rate 0.571, rebuilt from block6a_expand_conv",
        "top_activation 2 x 2 x 1280 -> activation 2 x 2 x 576, "
        "pruning rate 0.55, rebuilt from top_conv",
    ]


@pytest.mark.slow
def test_densenet121_to_a_users_cnn():
    assert described(application("DenseNet121"), users_cnn()) == [
        "conv1_relu 32 x 32 x 64 -> r_2 32 x 32 x 32, pruning rate 0.5, "
        "rebuilt from conv1_conv",
        "pool2_conv 16 x 16 x 128 -> r_3 16 x 16 x 64, pruning rate 0.5, "
        "rebuilt from pool2_conv",
        "pool3_conv 8 x 8 x 256 -> r_4 8 x 8 x 96, pruning rate 0.625, "
        "rebuilt from pool3_conv",
        "pool4_conv 4 x 4 x 512 -> r_5 4 x 4 x 128, pruning rate 0.75, "
        "rebuilt from pool4_conv",
        "relu 2 x 2 x 1024 -> r_6 2 x 2 x 192, pruning rate 0.812, "
        "sliced after conv5_block16_concat",
        "left out: r_1 64 x 64 x 16, the teacher has no map of this size",
        "left out: p_6 1 x 1 x 192, the teacher has no map of this size",
    ]


def dense_network():
    """A model of DenseNet's kind, with a gate before its second pooling."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = layers.Concatenate(name="dense")(
        [x, layers.Conv2D(8, 3, padding="same", name="grown")(x)]
    )
    x = layers.Conv2D(20, 1, strides=2, name="transition")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(20, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply(name="gated")([x, gate])
    x = layers.MaxPooling2D(name="pooled")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def test_concatenated_and_gated_maps_to_a_users_cnn():
    student = users_cnn((16, 16, 3), widths=(4, 5, 24))
    assert described(dense_network(), student) == [
        "dense 16 x 16 x 16 -> r_1 16 x 16 x 4, pruning rate 0.75, sliced "
        "after dense",
        "gated 8 x 8 x 20 -> r_2 8 x 8 x 5, pruning rate 0.75, sliced after "
        "gated",
        "left out: r_3 4 x 4 x 24, the teacher's map has 20 channels",
        "left out: p_3 2 x 2 x 24, the teacher has no map of this size",
    ]
