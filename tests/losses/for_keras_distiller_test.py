import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import losses
from indistill_tf.errors import UserError


def network(width, embedding="embedding", layer=None):
    """A small classifier; `layer` stands between its map and its head."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(width, 3, activation="relu", name="tap_1")(inputs)
    x = (layer or layers.GlobalAveragePooling2D(name=embedding))(x)
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


def data():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(32, 8, 8, 3)).astype("float32")
    return images, rng.integers(0, 4, size=32)


def stock(loss, teacher, student):
    """The stock distiller, with hardly any supervised loss."""
    distiller = keras.distillation.Distiller(
        teacher, student, [loss], student_loss_weight=1e-6
    )
    compile_(distiller)
    return distiller


def compile_(distiller):
    distiller.compile(
        keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )


def fit(distiller, epochs=1):
    """Returns the distillation loss of each of a number of steps."""
    images, labels = data()
    history = distiller.fit(
        images, labels, batch_size=32, epochs=epochs, verbose=0
    )
    return history.history["distillation_loss"]


def test_softened_kl_of_the_outputs():
    teacher, student = network(6), network(4)
    loss = losses.ForKerasDistiller(losses.SoftenedKL(4))
    distiller = stock(loss, teacher, student)
    assert loss.teacher_layer_name is loss.student_layer_name is None
    images, _ = data()
    expected = losses.softened_kl(teacher(images), student(images), 4)
    history = fit(distiller, epochs=10)
    assert history[0] == pytest.approx(float(expected), rel=1e-5)
    assert history[-1] < history[0]


def test_embeddings_are_found():
    teacher, student = network(6, "features"), network(4)
    loss = losses.ForKerasDistiller(losses.ProbabilisticJeffreys())
    distiller = stock(loss, teacher, student)
    assert loss.teacher_layer_name == "features"
    assert loss.student_layer_name == "embedding"
    images, _ = data()
    views = [
        keras.Model(model.input, model.get_layer(name).output)
        for model, name in ((teacher, "features"), (student, "embedding"))
    ]
    expected = losses.probabilistic_jeffreys(*(view(images) for view in views))
    history = fit(distiller, epochs=10)
    assert history[0] == pytest.approx(float(expected), rel=1e-4)
    assert np.all(np.isfinite(history))
    assert history[-1] < 0.5 * history[0]


def test_names_are_found_anew_for_other_networks():
    loss = losses.ForKerasDistiller(losses.ProbabilisticJeffreys())
    stock(loss, network(6), network(4))
    stock(loss, network(6, "other"), network(4))
    assert loss.teacher_layer_name == "other"
    assert loss.get_config()["teacher_layer_name"] is None


def test_one_name_given():
    loss = losses.ForKerasDistiller(
        losses.KerasLoss(lambda t, s: t - keras.ops.mean(s)),
        student_layer_name="tap_1",
    )
    teacher, student = network(6), network(4)
    distiller = stock(loss, teacher, student)
    assert loss.teacher_layer_name == "head"
    images, _ = data()
    maps = keras.Model(student.input, student.get_layer("tap_1").output)
    expected = np.mean(teacher(images)) - np.mean(maps(images))
    assert fit(distiller)[0] == pytest.approx(expected, abs=1e-5)


def test_adapters_train_and_are_saved(tmp_path):
    loss = losses.ForKerasDistiller(losses.Hints(), "tap_1", "tap_1")
    distiller = stock(loss, network(6), network(4))
    kernel = loss.loss.convolution.kernel
    assert any(kernel is item for item in distiller.trainable_variables)
    before = kernel.numpy()
    history = fit(distiller, epochs=5)
    assert history[-1] < history[0]
    assert np.abs(kernel.numpy() - before).min() > 0
    distiller.save(tmp_path / "distiller.keras")
    # Keras warns that it does not compile distillers, its own included.
    again = keras.saving.load_model(tmp_path / "distiller.keras", compile=False)
    (loaded,) = again.distillation_losses
    np.testing.assert_array_equal(
        loaded.loss.convolution.kernel.numpy(), kernel.numpy()
    )
    compile_(again)
    assert np.isfinite(fit(again)[0])


def test_adapters_appear_only_where_they_are_needed():
    for width, count in ((4, 0), (6, 2)):
        loss = losses.ForKerasDistiller(losses.MetricAbsolute())
        stock(loss, network(width), network(4))
        assert len(loss.trainable_variables) == count


class Scaled(losses.DistillationLoss):
    endpoint = "logits"

    def build(self, teacher_shape, student_shape):
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, teacher, student):
        return keras.ops.mean((teacher - self.scale * student) ** 2)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten = layers.Flatten()
        self.dense = layers.Dense(4)

    def call(self, inputs, training=None):
        return self.dense(self.flatten(inputs))


def test_outputs_of_subclassed_models():
    loss = losses.ForKerasDistiller(Scaled())
    history = fit(stock(loss, Subclassed(), Subclassed()), epochs=5)
    assert history[-1] < history[0]
    # Built in the first step, it trains nonetheless.
    assert float(loss.loss.scale) != 1


def test_layers_of_subclassed_models():
    loss = losses.ForKerasDistiller(losses.ProbabilisticJeffreys())
    with pytest.raises(UserError, match="only functional and Sequential"):
        stock(loss, Subclassed(), Subclassed())


def test_serializes_as_a_keras_object():
    loss = losses.ForKerasDistiller(
        losses.SoftenedKL(3.0), "one", "two", name="kd"
    )
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, losses.ForKerasDistiller)
    assert (again.name, again.loss.temperature) == ("kd", 3.0)
    assert (again.teacher_layer_name, again.student_layer_name) == (
        "one",
        "two",
    )


@pytest.mark.parametrize("names", [(), ("tap_1",), (None, "tap_1")])
def test_intermediate_layers_have_to_be_named(names):
    loss = losses.ForKerasDistiller(losses.FeatureMSE(), *names)
    with pytest.raises(UserError, match="FeatureMSE compares .*Give both"):
        stock(loss, network(4), network(4))


def test_unknown_layer():
    loss = losses.ForKerasDistiller(losses.FeatureMSE(), "tap_1", "tap_9")
    with pytest.raises(UserError, match="has no layer 'tap_9'.*tap_1"):
        stock(loss, network(4), network(4))


def test_an_output_that_the_stock_distiller_cannot_read():
    inner = keras.Input((6, 6, 4))
    pooling = keras.Model(
        inner, layers.GlobalAveragePooling2D()(inner), name="pooling"
    )
    loss = losses.ForKerasDistiller(losses.ProbabilisticJeffreys())
    with pytest.raises(UserError, match="'pooling' is not .*Identity"):
        stock(loss, network(4, layer=pooling), network(4))


def test_logits_before_a_softmax_of_its_own():
    model = network(4)
    ending = keras.Model(model.input, layers.Softmax()(model.output))
    loss = losses.ForKerasDistiller(losses.SoftenedKL())
    stock(loss, ending, network(4))
    assert loss.teacher_layer_name == model.layers[-1].name


def test_a_softmax_within_a_layer():
    model = network(4)
    pooled = model.layers[-1].input
    scores = layers.Dense(4, activation="softmax")(pooled)
    ending = keras.Model(model.input, scores)
    loss = losses.ForKerasDistiller(losses.SoftenedKL())
    with pytest.raises(UserError, match="ends in a softmax"):
        stock(loss, ending, network(4))


def test_a_loss_of_classes_between_sigmoids():
    loss = losses.ForKerasDistiller(losses.SoftenedKL())
    teacher, student = (
        keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), last])
        for last in (layers.Dense(1), layers.Dense(1))
    )
    with pytest.raises(UserError, match="`sigmoid=True`"):
        stock(loss, teacher, student)


def test_several_maps():
    loss = losses.ForKerasDistiller(losses.FlowOfSolution(), "tap_1", "tap_1")
    with pytest.raises(UserError, match="cannot be built .*several maps"):
        stock(loss, network(4), network(4))


def test_needs_are_refused():
    class Memory(losses.DistillationLoss):
        needs = ("sample_ids",)

    with pytest.raises(UserError, match="needs sample_ids.*Use indistill_tf"):
        losses.ForKerasDistiller(Memory())


def test_preparation_is_refused():
    class Prepared(losses.DistillationLoss):
        def prepare(self, teacher, labels):
            return 0.0

    with pytest.raises(UserError, match="needs a preparation.*Use indistill"):
        losses.ForKerasDistiller(Prepared())


@pytest.mark.parametrize(
    "loss",
    [losses.SoftenedKL, "mse", keras.distillation.LogitsDistillation()],
)
def test_not_one_of_our_losses(loss):
    with pytest.raises(UserError, match="must be an instance .*Received: "):
        losses.ForKerasDistiller(loss)
