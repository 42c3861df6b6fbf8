"""Restarts against what a new optimizer of the same config begins with."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf.distillation.restarts import FirstValues
from indistill_tf.distillation.restarts import continued
from indistill_tf.distillation.schedules import CurriculumCallback
from indistill_tf.errors import UserError
from indistill_tf.training import ReferenceSGD


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """A user's schedule, without a config."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate / (1.0 + keras.ops.cast(step, "float32"))


class Own(keras.optimizers.SGD):
    """A user's optimizer, which no config makes again."""

    def __init__(self, rate, friction):
        super().__init__(rate, momentum=1 - friction)


class SlowWeights(keras.optimizers.SGD):
    """One that keeps a copy of the weights, biases of zero among them."""

    def build(self, variables):
        super().build(variables)
        self.slow = [
            self.add_variable_from_reference(variable, name="slow")
            for variable in variables
        ]
        for slow, variable in zip(self.slow, variables, strict=True):
            slow.assign(variable)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(Falling(1e-3)),
        lambda: Own(0.01, friction=0.1),
        lambda: SlowWeights(0.01),
    ],
    ids=["schedule", "optimizer", "slow_weights"],
)
def test_optimizers_of_the_users_own(tiny, make):
    history = tiny.fit(tiny.make(make(), warm_up=1), epochs=2)
    assert history.history["stage"] == [1, 2]


@pytest.mark.parametrize("restart", ["stage", "epoch", "never"])
@pytest.mark.parametrize("first_epoch", [0, 3])
def test_a_schedule_goes_on(tiny, restart, first_epoch):
    distiller = tiny.make(keras.optimizers.SGD(Falling(0.5)))
    history = tiny.fit(
        distiller,
        initial_epoch=first_epoch,
        epochs=5,
        callbacks=[CurriculumCallback(restart)],
    )
    # Two steps an epoch, logged behind the last.
    steps = 2 * np.arange(first_epoch, 5) + 2
    if first_epoch and restart != "epoch":
        # An optimizer that is new in the middle of a stage.
        steps = steps - {"stage": 2, "never": 6}[restart]
    rates = history.history["learning_rate"]
    np.testing.assert_allclose(rates, 0.5 / (1 + steps), rtol=1e-6)


def test_a_schedule_of_a_scaled_loss_goes_on(tiny):
    inner = keras.optimizers.SGD(Falling(0.5))
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1.0)
    distiller = tiny.make(optimizer)
    rates = tiny.fit(distiller).history["learning_rate"]
    np.testing.assert_allclose(rates, 0.5 / np.array([3, 5, 7, 9]), rtol=1e-6)
    # It may be compiled again.
    distiller.compile(optimizer)
    distiller.build_optimizer()
    assert isinstance(inner._learning_rate.schedule, Falling)


def test_a_config_names_the_users_schedule():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    optimizer = keras.optimizers.Adam(schedule)
    continued(optimizer)
    config = optimizer.get_config()["learning_rate"]["config"]["schedule"]
    assert config["class_name"] == "CosineDecay"
    assert config["config"]["decay_steps"] == 100


def test_a_schedule_without_known_steps_is_refused(tiny):
    distiller = tiny.make(keras.optimizers.SGD(Falling(0.5)))
    data = tf.data.Dataset.from_tensor_slices(tiny.data).batch(12)
    data = data.filter(lambda *_: True)
    with pytest.raises(UserError, match="its `steps_per_epoch`"):
        distiller.fit(data, epochs=4, verbose=0, shuffle=False)


def variables():
    random = np.random.default_rng(0)
    return [
        keras.Variable(
            random.normal(size=(3, 4)), name="kernel", dtype="float32"
        ),
        keras.Variable(np.zeros(4), name="bias", dtype="float32"),
    ]


def step(optimizer, trained):
    gradients = [keras.ops.ones(variable.shape) for variable in trained]
    optimizer.apply(gradients, trained)


def adamw():
    optimizer = keras.optimizers.AdamW(1e-2, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def loss_scale():
    return keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(), initial_scale=64.0, dynamic_growth_steps=2
    )


@pytest.mark.parametrize(
    "make",
    [
        keras.optimizers.Adam,
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: ReferenceSGD(0.1, momentum=0.9, weight_decay=1e-3),
        adamw,
        loss_scale,
        lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=4),
        keras.optimizers.Nadam,
        keras.optimizers.Adagrad,
        lambda: keras.optimizers.Adam(use_ema=True),
    ],
    ids="adam sgd reference adamw scale accumulation nadam adagrad ema".split(),
)
def test_a_restart_is_a_new_optimizer_with_the_rate_of_today(make):
    optimizer, trained = make(), variables()
    optimizer.build(trained)
    first = FirstValues(optimizer, trained)
    for _ in range(3):
        step(optimizer, trained)
    optimizer.learning_rate = 0.125
    first.restore()
    fresh = type(optimizer).from_config(optimizer.get_config())
    fresh.build(trained)
    for mine, theirs in zip(optimizer.variables, fresh.variables, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    assert float(optimizer.learning_rate) == 0.125


def test_replicas_restart(mirrored):
    with mirrored.scope():
        optimizer, trained = keras.optimizers.Adam(), variables()
        optimizer.build(trained)
        first = FirstValues(optimizer, trained)
    mirrored.run(lambda: step(optimizer, trained))
    moment = optimizer.variables[2]
    assert np.abs(moment.numpy()).max() > 0
    first.restore()
    for replica in mirrored.experimental_local_results(moment.value):
        np.testing.assert_array_equal(replica, np.zeros((3, 4)))


def test_copies_of_weights_begin_as_the_weights_of_today():
    optimizer, trained = SlowWeights(0.5, momentum=0.9), variables()
    optimizer.build(trained)
    first = FirstValues(optimizer, trained)
    step(optimizer, trained)
    assert not np.array_equal(optimizer.slow[1], trained[1])
    first.restore()
    for slow, variable in zip(optimizer.slow, trained, strict=True):
        np.testing.assert_array_equal(slow, variable)
    assert not np.any(optimizer.momentums[0])


def test_first_values_are_not_those_of_a_checkpoint(tiny, tmp_path):
    path = tmp_path / "a.weights.h5"
    whole = tiny.make()
    tiny.fit(whole)
    for build in (True, False):
        first, second = tiny.make(), tiny.make()
        if build:
            # The user's own build, not the distiller's.
            for distiller in (first, second):
                distiller.optimizer.build(distiller.trainable_variables)
        else:
            second.build_optimizer()
        tiny.fit(first, epochs=1, initial_epoch=0)
        first.save_weights(path)
        second.load_weights(path)
        tiny.fit(second, initial_epoch=1)
        for mine, theirs in zip(second.weights, whole.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_used_optimizer_is_refused_before_training(tiny):
    optimizer = keras.optimizers.Adam()
    distiller = tiny.make(optimizer)
    optimizer.build(distiller.trainable_variables)
    step(optimizer, distiller.trainable_variables)
    with pytest.raises(UserError, match="had taken 1 steps .* a new optimizer"):
        tiny.fit(distiller)
    # The task alone restarts nothing.
    tiny.fit(distiller, epochs=5, initial_epoch=4)


def test_compile_with_the_same_optimizer_goes_on(tiny):
    distiller = tiny.make()
    tiny.fit(distiller, epochs=1, initial_epoch=0)
    distiller.compile(distiller.optimizer)
    assert tiny.fit(distiller, initial_epoch=1).epoch == [1, 2, 3]
