import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.errors import UserError

TEACHER = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
STUDENT = np.array([[1.0, 0.0], [0.0, 3.0]], "float32")


@keras.saving.register_keras_serializable(package="keras_loss_test")
def largest_difference(y_true, y_pred):
    return keras.ops.max(keras.ops.abs(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    "loss, expected",
    [
        # The squares 0, 4, 9 and 1.
        ("mse", 3.5),
        ("MeanSquaredError", 3.5),
        (keras.losses.mean_squared_error, 3.5),
        (keras.losses.MeanSquaredError(), 3.5),
        # Each sample's mean is 2 and 5: their sum, and their mean.
        (keras.losses.MeanSquaredError(reduction="sum"), 7.0),
        (keras.losses.MeanSquaredError(reduction="none"), 3.5),
        # The cosines are 1 / sqrt(5) and 4 / 5.
        ("cosine_similarity", -(5**-0.5 + 0.8) / 2),
        (largest_difference, 2.5),
    ],
)
def test_hand_computed_value(loss, expected):
    value = losses.KerasLoss(loss)(TEACHER, STUDENT)
    assert value.shape == ()
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_the_teacher_is_the_target():
    loss = losses.KerasLoss(lambda y_true, y_pred: y_true - 10 * y_pred)
    assert float(loss(TEACHER, STUDENT)) == pytest.approx(2.5 - 10 * 1)


def test_the_mean_of_maps_is_over_all_elements():
    teacher, student = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6))
    value = losses.KerasLoss("mse")(teacher, student)
    expected = losses.feature_mse(teacher, student)
    assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_half_precision_is_computed_in_float32():
    # Its square does not fit in float16.
    teacher = np.full((2, 3), 1000, "float16")
    loss = losses.KerasLoss(lambda t, s: (t - s) ** 2, dtype="float16")
    value = loss(teacher, np.zeros_like(teacher))
    assert value.dtype == "float32"
    assert float(value) == 1e6


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "CosineSimilarity",
        keras.losses.MeanAbsoluteError(reduction="sum"),
        largest_difference,
    ],
)
def test_serializes_as_a_keras_object(loss):
    loss = losses.KerasLoss(loss, ("one", "two"), relational=True, name="own")
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, losses.KerasLoss)
    assert (again.name, again.endpoint) == ("own", ("one", "two"))
    assert again.relational
    assert float(again(TEACHER, STUDENT)) == float(loss(TEACHER, STUDENT))


def test_defaults():
    loss = losses.KerasLoss("mse")
    assert (loss.endpoint, loss.relational) == ("logits", False)


@pytest.mark.parametrize(
    "loss",
    [
        None,
        3,
        ["mse"],
        keras.losses.MeanSquaredError,
        keras.layers.Add(),
        keras.metrics.MeanSquaredError(),
    ],
)
def test_not_a_loss(loss):
    with pytest.raises(UserError, match="Not a loss: .*Expected an instance"):
        losses.KerasLoss(loss)
    with pytest.raises(UserError, match="Not a distillation loss: "):
        losses.as_distillation_loss(loss)


def test_unknown_name():
    with pytest.raises(UserError, match="no loss 'mze'. Expected .*'mse'"):
        losses.as_distillation_loss("mze")


@pytest.mark.parametrize("endpoint", [None, 1, ("a",), ("a", 1), list("abc")])
def test_bad_endpoint(endpoint):
    with pytest.raises(UserError, match="a pair .*Received: "):
        losses.KerasLoss("mse", endpoint=endpoint)


@pytest.mark.parametrize(
    "loss",
    [
        "kl_divergence",
        keras.losses.KLDivergence(),
    ],
)
def test_divergences_between_logits_get_the_softmax(loss):
    expected = float(losses.softened_kl(TEACHER, STUDENT, temperature=1))
    value = losses.KerasLoss(loss)(TEACHER, STUDENT)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    probabilities = keras.ops.softmax(TEACHER)
    value = losses.KerasLoss(loss, ("p", "logits"))(probabilities, STUDENT)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_from_logits_gets_the_teachers_softmax_only():
    values = [
        losses.KerasLoss(keras.losses.CategoricalCrossentropy(**options))(
            TEACHER, STUDENT
        )
        for options in ({}, {"from_logits": True})
    ]
    assert float(values[0]) == pytest.approx(float(values[1]), rel=1e-5)
    divergence = losses.softened_kl(TEACHER, STUDENT, temperature=1)
    # Both rows of the teacher are (1 - p, p), p = 1 / (1 + 1 / e).
    p = 1 / (1 + np.exp(-1))
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert float(values[0]) == pytest.approx(float(divergence) + entropy, 1e-5)


def test_classes_are_no_softmax():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises(UserError, match="takes no softmax.*SoftenedKL"):
        losses.KerasLoss(loss)
    assert losses.KerasLoss(loss, ("classes", "embedding"))


def test_as_distillation_loss_keeps_or_makes_ours():
    loss = losses.SoftenedKL(2.0)
    assert losses.as_distillation_loss(loss) is loss
    assert type(losses.as_distillation_loss(losses.Pearson)) is losses.Pearson


def test_as_distillation_loss_makes_a_class_for_the_setting():
    class Counts(losses.DistillationLoss):
        @classmethod
        def create(cls, setting):
            loss = cls()
            loss.replicas = setting.replicas
            return loss

    setting = losses.base.Setting(teacher=None, student=None, replicas=3)
    assert losses.as_distillation_loss(Counts, setting).replicas == 3


@pytest.mark.parametrize(
    "loss", ["mse", keras.losses.MeanSquaredError(), largest_difference]
)
def test_as_distillation_loss_wraps_losses(loss):
    loss = losses.as_distillation_loss(loss)
    assert isinstance(loss, losses.KerasLoss)
    assert loss.endpoint == "logits"


def test_as_distillation_loss_wraps_losses_of_keras_distillation():
    loss = keras.distillation.FeatureDistillation("mse", "one", "two")
    wrapped = losses.as_distillation_loss(loss)
    assert isinstance(wrapped, losses.KerasDistillation)
    assert wrapped.loss is loss


def test_as_distillation_loss_checks_the_networks():
    def network(layer):
        inputs = keras.Input((2,))
        outputs = keras.layers.Dense(2, name=layer)(inputs)
        return keras.Model(inputs, outputs)

    loss = keras.distillation.FeatureDistillation("mse", "one", "two")
    setting = losses.base.Setting(network("one"), network("other"))
    with pytest.raises(ValueError, match="In student model: No such layer"):
        losses.as_distillation_loss(loss, setting)
