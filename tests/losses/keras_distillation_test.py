import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.errors import UserError


class Difference(keras.distillation.DistillationLoss):
    """A user's own, with nothing but what it must have."""

    def __init__(self):
        self.validated = 0

    def validate_outputs(self, teacher_outputs, student_outputs):
        super().validate_outputs(teacher_outputs, student_outputs)
        assert teacher_outputs.shape[1:] == student_outputs.shape[1:]
        self.validated += 1

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        return keras.ops.mean(teacher_outputs - student_outputs)


class DifferenceWithConfig(Difference):
    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def outputs(*shape):
    return np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")


def test_logits_distillation_is_softened_kl():
    teacher, student = outputs(8, 10)
    loss = keras.distillation.LogitsDistillation(
        temperature=2.0, loss=keras.losses.KLDivergence()
    )
    value = losses.KerasDistillation(loss)(teacher, student)
    expected = losses.softened_kl(teacher, student, 2.0)
    assert float(value) == pytest.approx(float(expected), rel=1e-4)


def test_feature_distillation_is_feature_mse():
    teacher, student = outputs(3, 4, 4, 5)
    loss = losses.KerasDistillation(
        keras.distillation.FeatureDistillation("mse", "conv5_out", "tap_3")
    )
    assert loss.endpoint == ("conv5_out", "tap_3")
    assert float(loss(teacher, student)) == pytest.approx(
        float(losses.FeatureMSE()(teacher, student)), rel=1e-6
    )


@pytest.mark.parametrize(
    "names, endpoint",
    [
        ((None, None), "logits"),
        (("tap_1", "tap_1"), "tap_1"),
        ((None, "tap_1"), ("logits", "tap_1")),
    ],
)
def test_endpoint(names, endpoint):
    loss = keras.distillation.FeatureDistillation("mse", *names)
    assert losses.KerasDistillation(loss).endpoint == endpoint


def test_a_loss_without_layer_names_compares_logits():
    loss = losses.KerasDistillation(Difference(), relational=True)
    assert (loss.endpoint, loss.relational) == ("logits", True)
    value = loss(np.full((2, 3), 5.0), np.full((2, 3), 2.0))
    assert float(value) == 3


def test_outputs_are_validated_once():
    loss = losses.KerasDistillation(Difference())
    loss(*outputs(4, 3))
    loss(*outputs(4, 3))
    assert loss.loss.validated == 1


def test_a_loss_of_several_outputs_does_not_fit():
    loss = keras.distillation.FeatureDistillation(["mse", "mae"])
    with pytest.raises(UserError, match="one output of each network"):
        losses.KerasDistillation(loss)(*outputs(4, 3))


def test_half_precision_is_computed_in_float32():
    loss = losses.KerasDistillation(
        keras.distillation.FeatureDistillation("mse")
    )
    value = loss(np.full((2, 3), 1000, "float16"), np.zeros((2, 3), "float16"))
    assert float(value) == 1e6


@pytest.mark.parametrize(
    "loss",
    [
        keras.distillation.LogitsDistillation(
            5.0, loss=keras.losses.KLDivergence()
        ),
        keras.distillation.FeatureDistillation("mae", "one", "two"),
    ],
)
def test_serializes_as_a_keras_object(loss):
    loss = losses.KerasDistillation(loss, relational=True, name="kd")
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, losses.KerasDistillation)
    assert (again.name, again.relational) == ("kd", True)
    assert again.endpoint == loss.endpoint
    teacher, student = outputs(4, 3)
    assert float(again(teacher, student)) == float(loss(teacher, student))


def test_own_loss_is_saved_where_it_has_a_config():
    config = losses.KerasDistillation(DifferenceWithConfig()).get_config()
    with keras.saving.custom_object_scope(
        {"DifferenceWithConfig": DifferenceWithConfig}
    ):
        again = losses.KerasDistillation.from_config(config)
    assert type(again.loss) is DifferenceWithConfig


@pytest.mark.parametrize("loss", ["mse", keras.losses.Huber(), Difference])
def test_not_a_loss_of_keras_distillation(loss):
    with pytest.raises(UserError, match="must be an instance of .*Received: "):
        losses.KerasDistillation(loss)


def test_what_is_meant_for_the_stock_distiller_is_not_wrapped_again():
    loss = losses.ForKerasDistiller(losses.SoftenedKL())
    with pytest.raises(UserError, match="Give the loss that it holds"):
        losses.as_distillation_loss(loss)
