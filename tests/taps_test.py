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
    with pytest.raises(UserError, match="--auxiliary=auto"):
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
    with pytest.raises(UserError, match="at least the channels.*--auxiliary"):
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
