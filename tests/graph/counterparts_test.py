import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import auxiliary
from indistill_tf import models
from indistill_tf import pruning
from indistill_tf import taps
from indistill_tf.errors import UserError
from indistill_tf.graph import traversal
from indistill_tf.graph.counterparts import counterparts
from indistill_tf.graph.counterparts import describe


def found(teacher, student, pairs="auto"):
    parts = counterparts(
        teacher, student, taps.pair(teacher, student, pairs, resize=True)
    )
    return {part.layer.name: part for part in parts}


def operation(tensor):
    return tensor._keras_history.operation.name


def kept(teacher, name, width):
    kernel = teacher.get_layer(name).kernel
    return pruning.kept_channels(
        np.reshape(kernel, (1, 1, -1, kernel.shape[-1])), width
    )


def test_every_layer_of_a_narrower_copy(build):
    teacher, student = build("cnn_a"), build("cnn_s")
    parts = found(teacher, student)
    assert list(parts) == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    for stage, width in ((1, 8), (2, 16), (3, 32)):
        part = parts[f"conv{stage}"]
        assert part.batch_norm is student.get_layer(f"bn{stage}")
        assert operation(part.target) == f"bn{stage}"
        # Those that the curriculum's targets have.
        channels = kept(teacher, f"conv{stage}", width)
        np.testing.assert_array_equal(part.kept, channels)
    assert operation(parts["conv2"].source) == "tap_1"
    np.testing.assert_array_equal(parts["fc1"].kept, kept(teacher, "fc1", 64))
    # Classes are not pruned.
    np.testing.assert_array_equal(parts["fc2"].kept, np.arange(10))
    text = describe(list(parts.values()), student)
    assert text.startswith("fitted in closed form: conv1 (8 of 16 channels), ")
    assert text.endswith("fc2 (10 of 10 channels)")


def test_maps_that_are_added_have_the_channels_of_the_last_sum():
    student = models.build("resnet14", (32, 32, 1), 10)
    teacher = auxiliary.widen(student)
    parts = found(teacher, student)
    convolutions = [
        layer.name
        for layer in student.layers
        if isinstance(layer, (layers.Conv2D, layers.Dense))
    ]
    assert sorted(parts) == sorted(convolutions)
    for width in (16, 32, 64):
        blocks = [name for name in parts if len(parts[name].kept) == width]
        ends = [name for name in blocks if name.endswith("conv2")]
        last = kept(teacher, ends[-1], width)
        assert len(ends) == 2
        for name in ends:
            np.testing.assert_array_equal(parts[name].kept, last)


def two_sizes(kind, width, stages=(1, 2), depth=1):
    inputs = x = keras.Input((16, 16, 1))
    for stage in stages:
        for index in range(depth):
            x = layers.Conv2D(
                width * stage,
                3,
                strides=2 if index == 0 else 1,
                padding="same",
                name=f"conv{stage}_{index}",
            )(x)
            x = layers.BatchNormalization()(x)
            shortcut = x
            x = layers.ReLU(name=f"map_{stage}_{index}")(x)
        if kind == "residual":
            x = layers.Conv2D(width * stage, 1, name=f"end{stage}")(x)
            x = layers.Add(name=f"add{stage}")([x, shortcut])
            x = layers.ReLU(name=f"map_{stage}_end")(x)
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def test_of_another_kind_of_network_the_layers_behind_the_paired_maps():
    teacher, student = two_sizes("residual", 8), two_sizes("plain", 4, depth=2)
    parts = found(teacher, student)
    # Each stage's first convolution has none, and is left as it is.
    assert list(parts) == ["conv1_1", "conv2_1", "logits"]
    assert operation(parts["conv1_1"].target) == "add1"
    channels = kept(teacher, "end2", 8)
    np.testing.assert_array_equal(parts["conv2_1"].kept, channels)
    text = describe(list(parts.values()), student)
    assert "others stay as they are: conv1_0, batch_norm" in text


def test_other_classes_leave_the_classifier_alone():
    teacher = models.build("cnn_a", (32, 32, 1), 20)
    student = models.build("cnn_s", (32, 32, 1), 10)
    assert list(found(teacher, student)) == ["conv1", "conv2", "conv3", "fc1"]


def test_frozen_layers_stay(build):
    student = build("cnn_s")
    student.get_layer("conv2").trainable = False
    student.get_layer("bn3").trainable = False
    parts = found(build("cnn_a"), student)
    assert list(parts) == ["conv1", "fc1", "fc2"]


def test_pairs_of_the_user_come_first():
    teacher, student = two_sizes("plain", 8, depth=2), two_sizes("plain", 4)

    def target_of(pairs):
        target = found(teacher, student, pairs)["conv1_0"].target
        return operation(traversal.inputs(target)[0])

    assert target_of("auto") == "conv1_1"
    assert target_of([("map_1_0", "map_1_0")]) == "conv1_0"


def test_nothing_in_common_is_refused():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu", name="map_1")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    teacher = keras.Model(inputs, layers.Dense(3)(x), name="conv")
    inputs = keras.Input((8, 8, 1))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="map_1")(inputs)
    x = layers.GlobalMaxPooling2D()(x)
    student = keras.Model(inputs, layers.Dense(5)(x), name="depthwise")
    with pytest.raises(UserError, match="'depthwise' has a counterpart in .*"):
        counterparts(teacher, student, [taps.Tap("map_1", "map_1")])
