import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from indistill_tf import endpoints
from indistill_tf.errors import UserError
from indistill_tf.graph import heads

SHAPE = (6, 6, 1)
IMAGES = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype("float32")


def network(units=4, activation=None, end=None, name=None):
    images = keras.Input(SHAPE)
    # Wide enough for probabilities far from even ones.
    wide = keras.initializers.RandomNormal(stddev=1.0)
    dense = layers.Dense(units, activation, kernel_initializer=wide)
    x = dense(layers.Flatten()(images))
    return keras.Model(images, end(x) if end else x, name=name)


class Own(layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)

    def compute_output_shape(self, shape):
        return shape


class OwnDense(layers.Dense):
    """A subclass whose `call` is not that of the layer that it is."""

    def call(self, x):
        return ops.softmax(super().call(x))


def by_hand(x):
    exponentials = ops.exp(x)
    return exponentials / ops.sum(exponentials, axis=-1, keepdims=True)


def branches(activation):
    def end(x):
        scores = [layers.Dense(4, activation)(x) for _ in range(2)]
        return layers.Average()(scores)

    return end


def as_map(x):
    x = layers.Reshape((1, 1, 4))(x)
    return layers.Flatten()(layers.Conv2D(4, 1, activation="softmax")(x))


SOFTMAXES = {
    "activation": dict(activation="softmax"),
    "operation as activation": dict(activation=ops.softmax),
    "layer as activation": dict(activation=layers.Softmax()),
    "function as activation": dict(activation=by_hand),
    "layer": dict(end=layers.Softmax()),
    "activation layer": dict(end=layers.Activation("softmax")),
    "operation": dict(end=ops.softmax),
    "lambda": dict(end=layers.Lambda(lambda x: ops.softmax(x))),
    "own layer": dict(end=Own(ops.softmax)),
    "own dense": dict(end=OwnDense(4)),
    "by hand": dict(end=by_hand),
    "then a linear cast": dict(
        activation="softmax", end=layers.Activation("linear", dtype="float64")
    ),
    "then cast": dict(
        activation="softmax", end=lambda x: ops.cast(x, "float16")
    ),
    "then dropout": dict(activation="softmax", end=layers.Dropout(0.5)),
    "then rescaled": dict(activation="softmax", end=layers.Rescaling(1.0)),
    "of branches": dict(end=branches("softmax")),
    "of a sum by hand": dict(
        end=lambda x: (ops.softmax(x) + ops.softmax(2 * x)) / 2
    ),
    "of a map": dict(end=as_map),
}


@pytest.mark.parametrize("case", SOFTMAXES)
def test_softmax(case):
    model = network(**SOFTMAXES[case])
    head = heads.decide(model)
    assert (head.kind, head.sigmoid) == ("softmax", False)
    logits = keras.Model(model.inputs[0], head.logits)(IMAGES)
    tolerance = 1e-2 if case == "then cast" else 1e-5
    np.testing.assert_allclose(
        ops.softmax(logits), model(IMAGES), rtol=tolerance, atol=1e-6
    )


@pytest.mark.parametrize(
    "case",
    [
        dict(units=1, activation="sigmoid"),
        dict(activation="sigmoid"),
        dict(end=ops.sigmoid),
        dict(end=layers.Activation("sigmoid")),
        dict(
            units=1,
            activation="sigmoid",
            end=layers.Activation("linear", dtype="float64"),
        ),
        dict(activation="sigmoid", end=layers.Dropout(0.5)),
        dict(end=branches("sigmoid")),
    ],
)
def test_sigmoid(case):
    model = network(**case)
    head = heads.decide(model)
    assert (head.kind, head.sigmoid) == ("sigmoid", True)
    logits = keras.Model(model.inputs[0], head.logits)(IMAGES)
    np.testing.assert_allclose(
        ops.sigmoid(logits), model(IMAGES), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "end",
    [
        None,
        layers.Activation("linear", dtype="float32"),
        layers.Activation("log_softmax"),
        layers.Lambda(lambda x: x / 2),
        lambda x: x * 3,
        Own(lambda x: x + 1),
        Own(ops.zeros_like),
        layers.BatchNormalization(),
        lambda x: layers.Add()([x, x]),
    ],
)
def test_logits(end):
    model = network(end=end)
    head = heads.decide(model)
    assert (head.kind, head.sigmoid) == ("logits", None)
    assert head.logits is model.outputs[0]


def test_a_saturated_sigmoid_keeps_its_logits():
    model = network(1, "sigmoid")
    weights = [100 * weight for weight in model.get_weights()]
    model.set_weights(weights)
    view = endpoints.named_view(model, ("logits", "embedding"))(IMAGES)
    expected = view["embedding"] @ weights[0] + weights[1]
    np.testing.assert_allclose(view["logits"], expected, rtol=1e-4)
    assert np.abs(view["logits"]).max() > 100


def test_layer_that_keeps_its_weights_trainable_once():
    model = network(1, "sigmoid")
    view = endpoints.view(
        model,
        {"output": model.outputs[0], "logits": heads.decide(model).logits},
    )
    assert len(view.trainable_variables) == 2


@pytest.mark.parametrize(
    "end", [Own(ops.sigmoid), layers.Activation("hard_sigmoid")]
)
def test_what_neither_graph_nor_values_say_is_asked_for(end):
    model = network(end=end, name="own")
    with pytest.raises(UserError, match="'own' lies in 0..1.*`head="):
        heads.decide(model)
    head = heads.decide(heads.declared(model, "sigmoid"))
    assert (head.kind, head.sigmoid) == ("sigmoid", True)
    assert heads.decide(heads.declared(model, "logits")).kind == "logits"


def test_declared_of_plain_logits_says_how_they_are_read():
    model = network()
    for head, sigmoid in (("sigmoid", True), ("softmax", False)):
        found = heads.decide(heads.declared(model, head))
        assert (found.kind, found.sigmoid) == ("logits", sigmoid)
        assert found.logits is model.outputs[0]
    # Also behind a layer of one's own, whose values lie outside of 0..1.
    model = heads.declared(network(end=Own(lambda x: 3 * x)), "sigmoid")
    assert heads.decide(model).kind == "logits"
    assert heads.decide(heads.declared(model, "softmax")).sigmoid is False


def test_declared_is_saved_with_the_model(tmp_path):
    model = heads.declared(network(1, end=ops.sigmoid), "sigmoid")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert heads.decide(again).sigmoid
    np.testing.assert_array_equal(again(IMAGES), model(IMAGES))


@pytest.mark.parametrize("head", ["sigmoid", "logits"])
def test_declared_otherwise_than_the_graph_says(head):
    with pytest.raises(UserError, match="is 'softmax'. Received: `head="):
        heads.declared(network(activation="softmax"), head)
    with pytest.raises(UserError, match="Unknown head: 'relu'"):
        heads.declared(network(), "relu")


def test_softmax_over_one_unit():
    with pytest.raises(UserError, match="softmax over one unit"):
        heads.decide(network(1, "softmax"))


def test_logits_are_read_as_the_other_networks():
    pair = heads.Heads(network(), network(activation="sigmoid"))
    assert pair.teacher.sigmoid and pair.student.sigmoid and pair.sigmoid
    pair = heads.Heads(network(), network())
    assert pair.sigmoid is False
    assert heads.Heads(network(1), network(1)).sigmoid
    pair = heads.Heads(network(2, "softmax"), network(2, "sigmoid"))
    with pytest.raises(UserError, match="'softmax' and the student's 'sigm"):
        assert pair.sigmoid


def two_outputs(kind):
    model = network()
    first, second = model.outputs[0], layers.Dense(7, name="second")
    second = second(model.layers[1].output)
    nested = {"dict": {"b": first, "a": second}, "list": [first, second]}
    return keras.Model(model.inputs, nested[kind], name="both")


@pytest.mark.parametrize("kind, name", [("dict", "a"), ("list", "second")])
def test_one_of_several_outputs(kind, name):
    model = two_outputs(kind)
    with pytest.raises(UserError, match=f"'both' has 2 outputs.*{name}"):
        heads.decide(model)
    with pytest.raises(UserError, match="has 2 outputs"):
        endpoints.endpoint(model, "embedding")
    for known in {name, "second"}:
        assert heads.chosen(model, known).outputs[0].shape[-1] == 7
    with pytest.raises(UserError, match="output of 'both': 'c'"):
        heads.chosen(model, "c")
    single = network()
    assert heads.chosen(single, name) is single


def test_channels_first_is_no_map():
    images = keras.Input((1, 6, 6))
    options = dict(data_format="channels_first")
    x = layers.Conv2D(3, 3, name="tap_1", **options)(images)
    x = layers.GlobalAveragePooling2D(**options)(x)
    model = keras.Model(images, layers.Dense(4)(x))
    for name in ("tap_1", "unpooled"):
        with pytest.raises(UserError, match="'channels_first'.*'okd'"):
            endpoints.endpoint(model, name)
    assert endpoints.endpoint(model, "embedding").shape == (None, 3)


def test_channels_first_for_all_layers_to_come():
    model = network(end=as_map)
    name = model.layers[-2].name
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(UserError, match="keras.config.*'channels_first'"):
            endpoints.endpoint(model, name)
    finally:
        keras.config.set_image_data_format("channels_last")
