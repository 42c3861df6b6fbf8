import keras
import pytest
from keras import layers

from indistill_tf import models
from indistill_tf import taps
from indistill_tf.errors import UserError


def build(name, **options):
    return models.build(name, (32, 32, 3), 10, **options)


@pytest.fixture
def unnamed():
    """A user's model without endpoint names."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, padding="same", name="a")(inputs)
    x = layers.ReLU(name="b")(x)
    x = layers.MaxPooling2D(2, name="c")(x)
    x = layers.Conv2D(16, 3, padding="same", name="d")(x)
    x = layers.GlobalAveragePooling2D(name="e")(x)
    return keras.Model(inputs, layers.Dense(10, name="f")(x), name="mine")


def test_endpoints_of_our_models():
    model = build("cnn_a")
    assert taps.endpoint(model, "tap_1").shape == (None, 15, 15, 16)
    assert taps.endpoint(model, "embedding").shape == (None, 128)
    assert taps.endpoint(model, "logits").shape == (None, 10)


def test_endpoints_of_a_users_model(unnamed):
    assert [m.name for m in taps.feature_maps(unnamed)] == ["b", "d"]
    assert taps.endpoint(unnamed, "embedding").shape == (None, 16)
    assert taps.endpoint(unnamed, "logits") is unnamed.outputs[0]


def test_unknown_layer_lists_what_exists():
    with pytest.raises(UserError, match="no layer 'tap_9'.*tap_1, tap_2"):
        taps.endpoint(build("cnn_s"), "tap_9")


def test_softmax_output_has_no_logits(unnamed):
    outputs = layers.Softmax()(unnamed.outputs[0])
    model = keras.Model(unnamed.inputs, outputs)
    with pytest.raises(UserError, match="ends in a softmax"):
        taps.endpoint(model, "logits")


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
    with pytest.raises(UserError, match="student is wider than the teacher"):
        taps.pair(build("cnn_s"), build("cnn_a"))


def test_view_ends_at_the_deepest_endpoint():
    model = build("cnn_a")
    view = taps.view(model, {"map": taps.endpoint(model, "tap_1")})
    assert "conv2" not in [layer.name for layer in view.layers]


def test_a_model_wrapped_by_another_keeps_its_endpoints(unnamed):
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, unnamed(inputs))
    assert taps.endpoint(unnamed, "d").shape == (None, 32 // 2, 16, 16)


def test_describe():
    teacher, student = build("cnn_a"), build("cnn_s")
    text = taps.describe(taps.Tap("tap_1", "tap_1"), teacher, student)
    assert text == "tap_1 15 x 15 x 16 -> tap_1 15 x 15 x 8, pruning rate 0.5"


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


def test_map_behind_a_pooled_embedding(unnamed):
    assert taps.endpoint(unnamed, "unpooled").shape == (None, 16, 16, 16)
    resnet = build("resnet8")
    assert taps.endpoint(resnet, "unpooled").shape == (None, 8, 8, 64)
    cnn = build("cnn_s")
    assert taps.endpoint(cnn, "unpooled") is taps.endpoint(cnn, "embedding")
