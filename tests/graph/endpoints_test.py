import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.graph import traversal


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
    return keras.Model(inputs, layers.Dense(10, name="f")(x), name="own")


def gated():
    """A model of the kind of MobileNetV3, classifier and all."""
    inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Rescaling(2.0, name="scaled")(inputs)
    x = layers.ZeroPadding2D(1, name="padded")(x)
    x = layers.Conv2D(8, 3, strides=2, name="conv")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeezed")(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply(name="gated")([x, gate])
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pooled")(x)
    x = layers.Conv2D(12, 1, name="wide")(x)
    x = layers.Conv2D(10, 1, name="scores")(x)
    return keras.Model(inputs, layers.Flatten(name="flat")(x), name="gated")


def nested():
    """A network inside another, as in transfer learning."""
    base_input = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", name="first")(base_input)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.MaxPooling2D(2, name="half")(x)
    base = keras.Model(base_input, layers.Conv2D(6, 3, name="second")(x))
    head = [layers.GlobalAveragePooling2D(), layers.Dense(10, name="head")]
    return keras.Sequential([keras.Input((16, 16, 3)), base, *head])


def test_endpoints_of_our_models():
    model = build("cnn_a")
    assert endpoints.endpoint(model, "tap_1").shape == (None, 15, 15, 16)
    assert endpoints.endpoint(model, "embedding").shape == (None, 128)
    assert endpoints.endpoint(model, "logits").shape == (None, 10)


def test_endpoints_of_a_users_model(unnamed):
    assert list(endpoints.feature_maps(unnamed)) == ["b", "d"]
    assert endpoints.endpoint(unnamed, "embedding").shape == (None, 16)
    assert endpoints.endpoint(unnamed, "logits") is unnamed.outputs[0]


def test_gates_borders_and_images_are_no_feature_maps():
    assert list(endpoints.feature_maps(gated())) == ["gated"]


def test_convolution_as_classifier():
    model = gated()
    assert endpoints.classifier(model).name == "scores"
    view = endpoints.named_view(model, ("embedding", "logits"))
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3))
    values = view(images.astype("float32"))
    kernel, bias = model.get_layer("scores").get_weights()
    np.testing.assert_allclose(
        values["embedding"] @ kernel[0, 0] + bias, values["logits"], rtol=1e-4
    )


def test_logits_are_a_vector_also_where_a_convolution_has_their_name():
    images = keras.Input((4, 4, 3))
    x = layers.GlobalAveragePooling2D(keepdims=True)(images)
    x = layers.Conv2D(5, 1, name="logits")(x)
    model = keras.Model(images, layers.Flatten()(x))
    assert endpoints.endpoint(model, "logits") is model.outputs[0]


def test_headless_model_has_no_embedding(unnamed):
    headless = keras.Model(unnamed.inputs, endpoints.endpoint(unnamed, "e"))
    assert endpoints.classifier(headless) is None
    with pytest.raises(UserError, match="no layer 'embedding'"):
        endpoints.endpoint(headless, "embedding")


def test_flattened_model_shares_weights_and_shows_all_layers():
    model = nested()
    flat = endpoints.flattened(model)
    assert list(endpoints.feature_maps(flat)) == ["norm", "half", "second"]
    assert endpoints.flattened(flat) is flat
    assert [id(w) for w in flat.weights] == [id(w) for w in model.weights]
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3))
    images = images.astype("float32")
    np.testing.assert_array_equal(flat(images), model(images))
    view = endpoints.named_view(flat, ("first",))
    assert "second" not in [layer.name for layer in view.layers]
    assert view(images)["first"].shape == (2, 16, 16, 8)


def test_depth_counts_convolutions_on_the_longest_path():
    model = gated()
    # conv, gate -> Multiply; the map itself has one convolution behind it.
    depths = {
        name: traversal.depth(tensor)
        for name, tensor in traversal.outputs(model).items()
    }
    assert (depths["conv"], depths["gated"], depths["flat"]) == (1, 2, 4)


def test_unknown_layer_lists_what_exists():
    with pytest.raises(UserError, match="no layer 'tap_9'.*tap_1, tap_2"):
        endpoints.endpoint(build("cnn_s"), "tap_9")


def test_logits_are_what_a_softmax_was_given(unnamed):
    outputs = layers.Softmax()(unnamed.outputs[0])
    model = keras.Model(unnamed.inputs, outputs)
    assert endpoints.endpoint(model, "logits") is unnamed.outputs[0]


def test_view_ends_at_the_deepest_endpoint():
    model = build("cnn_a")
    view = endpoints.named_view(model, ("tap_1",))
    assert "conv2" not in [layer.name for layer in view.layers]


def test_a_model_wrapped_by_another_keeps_its_endpoints(unnamed):
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, unnamed(inputs))
    assert endpoints.endpoint(unnamed, "d").shape == (None, 32 // 2, 16, 16)


def test_map_behind_a_pooled_embedding(unnamed):
    assert endpoints.endpoint(unnamed, "unpooled").shape == (None, 16, 16, 16)
    resnet = build("resnet8")
    assert endpoints.endpoint(resnet, "unpooled").shape == (None, 8, 8, 64)
    cnn = build("cnn_s")
    embedding = endpoints.endpoint(cnn, "embedding")
    assert endpoints.endpoint(cnn, "unpooled") is embedding


def test_classifier_inside_a_model_inside():
    head = keras.Sequential(
        [
            keras.Input((6, 6, 6)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    backbone = nested().layers[0]
    model = keras.Sequential([keras.Input((16, 16, 3)), backbone, head])
    view = endpoints.named_view(model, ("embedding", "logits"))
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3))
    images = images.astype("float32")
    values = view(images)
    head.layers[-1].activation = keras.activations.linear
    assert values["embedding"].shape == (2, 6)
    np.testing.assert_allclose(values["logits"], model(images), rtol=1e-5)


def two_maps():
    inputs = keras.Input((8, 8, 3))
    first = layers.Conv2D(4, 3, name="first")(inputs)
    second = layers.Conv2D(5, 3, name="second")(first)
    return keras.Model(inputs, {"low": first, "high": second})


def test_models_inside_may_have_several_outputs():
    inner_inputs, inputs = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    inner = keras.Model(inner_inputs, two_maps()(inner_inputs))
    maps = inner(inputs)
    pooled = [layers.GlobalAveragePooling2D()(maps[key]) for key in maps]
    outputs = layers.Dense(10)(layers.Concatenate()(pooled))
    model = keras.Model(inputs, outputs)
    flat = endpoints.flattened(model)
    assert endpoints.endpoint(flat, "second").shape == (None, 4, 4, 5)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    images = images.astype("float32")
    np.testing.assert_array_equal(flat(images), model(images))


def test_two_layers_of_one_name():
    inner = two_maps()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(3, 1, name="first"),
            keras.Model(inner.inputs[0], inner.outputs[0]),
        ],
        name="own",
    )
    message = "'own' and the models in it.*\"first\" is used 2 times"
    with pytest.raises(UserError, match=message):
        endpoints.flattened(model)


class Switch(keras.Model):
    """A model whose `call` is Python of its own."""

    def __init__(self):
        super().__init__(name="switch")
        self.scale = layers.Dense(3)

    def call(self, images, training=False):
        return images if training else self.scale(images)


def test_a_model_inside_with_its_own_call_stays_a_layer():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), Switch(), layers.Conv2D(4, 3), nested_head()]
    )
    flat = endpoints.flattened(model)
    assert flat.layers[1] is model.layers[0]
    images = np.ones((1, 8, 8, 3), "float32")
    for training in (True, False):
        np.testing.assert_array_equal(
            flat(images, training=training), model(images, training=training)
        )


def nested_head():
    return keras.Sequential(
        [keras.Input((6, 6, 4)), layers.Flatten(), layers.Dense(10)]
    )
