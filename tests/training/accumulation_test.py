"""Accumulated gradients: several small batches as one large."""

import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import methods
from indistill_tf.distillation.schedules import CurriculumCallback
from indistill_tf.distillation.schedules import TwoStage
from indistill_tf.training import Distillation
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training.trainer import make_trainer

SGD = {
    "optimizer_name": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
}


def network(name):
    """Without batch normalisation, whose statistics are the small batch's."""
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(4, 3, activation="tanh", name="conv")(inputs)
    x = layers.Conv2D(5, 3, activation="tanh", name="second")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name=name)


class Images:
    """What `make_trainer` asks of a set of images."""

    class train:
        labels = np.arange(1024) % 3

        @staticmethod
        def augmentation(padding, flip):
            """Is asked for, whether it fits the images."""

    num_classes = 3


def trainer_of(recipe, method=None, **options):
    """Returns a compiled trainer; without a method, of labels alone."""
    keras.utils.set_random_seed(0)
    teacher = network("teacher")
    student = network("student")
    run = Run("unused", Images)
    if method is None:
        return make_trainer(student, run, recipe).model
    distillation = Distillation(method, **options)
    return make_trainer(student, run, recipe, teacher, distillation).model


def fit(trainer, recipe, count=1024, **options):
    random = np.random.default_rng(0)
    options = {"epochs": 2, "shuffle": False, "verbose": 0, **options}
    trainer.fit(
        random.normal(size=(count, 6, 6, 1)),
        Images.train.labels[:count],
        batch_size=recipe.batch_size,
        **options,
    )
    return flat(trainer)


def flat(trainer):
    return np.concatenate([np.ravel(w) for w in trainer.get_weights()])


@pytest.fixture
def precision(request):
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("method", [None, "okd"])
@pytest.mark.parametrize(
    "precision, optimizer",
    [
        pytest.param("float32", SGD, marks=pytest.mark.slow),
        ("float32", {}),
        ("float64", SGD),
        pytest.param("float64", {}, marks=pytest.mark.slow),
    ],
    indirect=["precision"],
    ids=["float32-sgd", "float32-adam", "float64-sgd", "float64-adam"],
)
def test_four_batches_of_64_equal_one_of_256(precision, optimizer, method):
    def trained(**sizes):
        recipe = Recipe(**optimizer, **sizes)
        return fit(trainer_of(recipe, method), recipe)

    tolerance = {"float32": 1e-6, "float64": 1e-14}[precision]
    one = trained(batch_size=256)
    four = trained(batch_size=64, gradient_accumulation=4)
    np.testing.assert_allclose(four, one, rtol=0, atol=tolerance)
    assert np.abs(trained(batch_size=64) - one).max() > 1e-3


# An epoch of five batches: one update, and a batch left over.
LEFT_OVER = Recipe(batch_size=64, gradient_accumulation=4, **SGD)


@pytest.mark.parametrize("restart, stale", [("stage", False), ("never", True)])
def test_a_stage_begins_without_the_last_ones_gradients(restart, stale):
    def trainer():
        method = methods.get("hints", schedule=TwoStage(1))
        return trainer_of(LEFT_OVER, method, taps=[("second", "second")])

    def train(trainer, **options):
        callbacks = [CurriculumCallback(restart)]
        return fit(trainer, LEFT_OVER, 320, callbacks=callbacks, **options)

    whole = train(trainer())
    first, second = trainer(), trainer()
    train(first, epochs=1, initial_epoch=0)
    assert accumulated(first) > 0
    second.set_weights(first.get_weights())
    fresh = train(second, initial_epoch=1)
    assert np.array_equal(whole, fresh) is not stale


def accumulated(trainer):
    return max(
        np.abs(variable.numpy()).max()
        for variable in trainer.optimizer.variables
        if "gradient_accumulator" in variable.path
    )


def test_what_is_left_over_survives_a_checkpoint(tmp_path):
    whole = fit(trainer_of(LEFT_OVER, "okd"), LEFT_OVER, 320)
    first, second = (trainer_of(LEFT_OVER, "okd") for _ in range(2))
    fit(first, LEFT_OVER, 320, epochs=1)
    assert accumulated(first) > 0
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    resumed = fit(second, LEFT_OVER, 320, initial_epoch=1)
    np.testing.assert_array_equal(resumed, whole)
