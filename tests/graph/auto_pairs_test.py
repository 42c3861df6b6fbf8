"""Which maps are paired where the last ones of a size do not fit."""

import keras
import numpy as np
import pytest
from keras import layers

import indistill_tf
from indistill_tf import endpoints
from indistill_tf import methods
from indistill_tf import taps
from indistill_tf.errors import UserError
from indistill_tf.graph.blocks import maps_of_size


def inverted(expansion, gate=False, widths=(8, 12)):
    """Inverted residuals as MobileNetV2 and EfficientNet have them."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    for stage, width in enumerate(widths, start=1):
        for block in "ab":
            prefix = f"{stage}{block}"
            wide = x.shape[-1] * expansion
            y = layers.Conv2D(wide, 1, name=f"{prefix}_expand")(x)
            y = layers.BatchNormalization()(y)
            y = layers.ReLU(name=f"{prefix}_expanded")(y)
            strides = 2 if block == "a" and stage > 1 else 1
            y = layers.DepthwiseConv2D(3, strides, padding="same")(y)
            y = layers.ReLU(name=f"{prefix}_depthwise")(y)
            if gate:
                pooled = layers.GlobalAveragePooling2D(keepdims=True)(y)
                y = layers.Multiply(name=f"{prefix}_gated")(
                    [y, layers.Conv2D(wide, 1, activation="sigmoid")(pooled)]
                )
            y = layers.Conv2D(width, 1, name=f"{prefix}_project")(y)
            y = layers.BatchNormalization(name=f"{prefix}_projected")(y)
            x = layers.Add(name=f"{prefix}_add")([x, y]) if block == "b" else y
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def plain(widths, padding="same", size=16):
    """Convolutions, normalised, each of half the size of the one before."""
    inputs = x = keras.Input((size, size, 3))
    for number, width in enumerate(widths):
        strides = 1 if number == 0 and padding == "same" else 2
        x = layers.Conv2D(width, 3, strides, padding=padding)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU(name=f"map_{number}")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def names(teacher, student, **options):
    pairs = taps.pair(teacher, student, **options)
    return [(tap.teacher_layer, tap.student_layer) for tap in pairs]


@pytest.mark.parametrize("gate", [False, True])
def test_outputs_of_blocks_come_first(gate):
    own, inside = maps_of_size(inverted(4, gate), (16, 16))
    assert [name for name, _ in own] == ["1b_add", "1a_projected", "stem"]
    found = [name for name, _ in inside]
    # Next to come is the expansion of the block that halves the size.
    assert found[:2] == ["2a_expanded", "1b_projected"]
    assert "1a_depthwise" in found
    assert ("1a_gated" in found) is gate
    assert not any(name.endswith("_expand") for name in found)


def test_what_ends_a_block_of_bottlenecks_is_its_output():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", name="stem")(inputs)
    for block in "ab":
        y = layers.Conv2D(4, 1, activation="relu", name=f"{block}_narrow")(x)
        y = layers.Conv2D(4, 3, padding="same", name=f"{block}_middle")(y)
        y = layers.Conv2D(16, 1, name=f"{block}_widened")(y)
        x = layers.ReLU(name=f"{block}_out")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(10)(x))
    own, inside = maps_of_size(model, (8, 8))
    assert [name for name, _ in own] == ["b_out", "a_out", "stem"]
    assert [name for name, _ in inside][:2] == ["b_widened", "b_middle"]


@pytest.mark.parametrize("gate", [False, True])
def test_a_narrower_expansion_gives_way_to_the_blocks_output(gate):
    teacher, student = inverted(4, gate), inverted(6, gate)
    assert names(teacher, student) == [
        ("1b_add", "1b_add"),
        ("2b_add", "2b_add"),
    ]
    pairs = taps.pair(teacher, student)
    assert taps.describe(pairs, teacher, student)[0] == (
        "1b_add 16 x 16 x 8 -> 1b_add 16 x 16 x 8, pruning rate 0, as it is, "
        "in place of the teacher's 2a_expanded (32 channels) and the "
        "student's 2a_expanded (48 channels)"
    )
    # Where it fits the last map stays.
    assert names(student, teacher)[0] == ("2a_expanded", "2a_expanded")


def test_a_plain_teacher_meets_the_blocks_output():
    assert names(plain((16, 32)), inverted(6)) == [
        ("map_0", "1b_add"),
        ("map_1", "2b_add"),
    ]


def test_a_plain_student_meets_the_map_inside_that_is_wide_enough():
    teacher = inverted(4, widths=(8, 12))
    # Expanded to 48 channels; the block's output has 12.
    assert names(teacher, plain((8, 40)))[1] == ("2b_depthwise", "map_1")


def test_no_map_of_the_size_is_wide_enough():
    teacher, student = inverted(2), plain((64, 12))
    pairs = taps.pair(teacher, student)
    assert [tap.student_layer for tap in pairs] == ["map_1"]
    assert taps.describe(pairs, teacher, student)[1] == (
        "left out: map_0 16 x 16 x 64, the teacher's map has 16 channels"
    )


def with_taps(*widths):
    """A model whose builder has named the maps, all of one size."""
    inputs = x = keras.Input((8, 8, 3))
    for number, width in enumerate(widths, start=1):
        x = layers.Conv2D(width, 3, padding="same", name=f"tap_{number}")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def test_named_taps_are_the_only_maps():
    teacher, student = with_taps(8, 16), with_taps(32)
    with pytest.raises(UserError, match="at least the channels"):
        taps.pair(teacher, student)
    # The wide one at the end does not take the other's partner away.
    teacher, student = with_taps(16, 64), with_taps(8, 32)
    assert names(teacher, student) == [("tap_1", "tap_1"), ("tap_2", "tap_2")]


def test_sizes_that_differ_by_a_pixel_are_paired_on_request():
    teacher, student = plain((16,), "valid", 17), plain((8, 8), size=17)
    # 8 x 8 against 9 x 9, and 17 x 17.
    with pytest.raises(UserError, match="a pixel or two .`taps_resize=True`"):
        taps.pair(teacher, student)
    assert names(teacher, student, resize=True) == [("map_0", "map_1")]
    pairs = taps.pair(teacher, student, resize=True)
    lines = taps.describe(pairs, teacher, student, resize=True)
    assert lines[0].endswith(", the teacher's map resized to 9 x 9")
    with pytest.raises(UserError, match="differ.*taps_resize=True"):
        taps.pair(teacher, student, [("map_0", "map_1")])
    named = [("map_0", "map_1")]
    assert names(teacher, student, taps=named, resize=True) == named


def test_a_near_size_is_hinted_at():
    teacher, student = plain((16, 16), "valid", 16), plain((8, 8, 8), size=16)
    named = [taps.Tap("map_1", "map_1")]
    assert taps.describe(named, teacher, student, pruned=False)[1:] == [
        "left out: map_0 16 x 16 x 8, the teacher has no map of this size",
        "left out: map_2 4 x 4 x 8, the teacher has no map of this size "
        "(3 x 3 with `taps_resize=True`)",
    ]


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        (47, 48, True),
        (22, 24, True),
        (45, 48, False),
        (3, 4, True),
        (1, 2, False),
        (2, 4, False),
    ],
)
def test_near_is_a_pixel_or_two_and_no_level_of_resolution(
    theirs, ours, expected
):
    def network(size):
        inputs = keras.Input((size, size, 1))
        x = layers.Conv2D(4, 1, name="map")(inputs)
        return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))

    teacher, student = network(theirs), network(ours)
    if expected:
        assert names(teacher, student, resize=True) == [("map", "map")]
        return
    with pytest.raises(UserError, match="No feature map"):
        taps.pair(teacher, student, resize=True)


@pytest.mark.parametrize("method", ["indistill", "at"])
def test_a_resized_map_is_compared(method):
    teacher = plain((8,), "valid", 17)
    student = keras.Sequential(
        [
            keras.Input((17, 17, 3)),
            layers.Conv2D(8, 3, 2, padding="same", name="odd"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )
    distiller = indistill_tf.Distiller(
        teacher=teacher,
        student=student,
        method=methods.get(method, batch_norm="carry"),
        taps_resize=True,
    )
    assert "resized to 9 x 9" in distiller.pairing
    (name,) = [x for x in distiller.target_names() if x.endswith("-9x9")]
    images = np.random.default_rng(0).normal(size=(2, 17, 17, 3))
    images = images.astype("float32")
    target = distiller.teacher_view((name,))(images)[name]
    whole = endpoints.named_view(teacher, ["map_0"])(images)["map_0"]
    expected = keras.ops.image.resize(whole, (9, 9), "bilinear")
    np.testing.assert_allclose(target, expected, atol=1e-5)
    distiller.compile("sgd")
    logs = distiller.train_step((images, np.array([1, 2])))
    assert np.isfinite(float(logs["loss/tap_1"]))
