"""Restarts of an optimizer: its variables as before their first step."""

import keras
import numpy as np

from indistill_tf.errors import UserError


class Restartable:
    """Mixin for a `PlannedModel`: its optimizer can begin anew."""

    _first_values = None
    _schedule = None

    def load_weights(self, *args, **kwargs) -> None:
        """Loads weights, as `keras.Model.load_weights` does.

        Args:
            *args: see `keras.Model.load_weights`.
            **kwargs: see `keras.Model.load_weights`.
        """
        # A restart wants the values of before.
        if self.compiled and self.optimizer and self.optimizer.built:
            self.build_optimizer()
        super().load_weights(*args, **kwargs)

    def build_optimizer(self) -> None:
        """Creates the optimizer's slots for all that the stages train."""
        optimizer, known = self.optimizer, self._first_values
        if optimizer is None or known and known.optimizer is optimizer:
            return
        with self.distribute_strategy.scope():
            if not optimizer.built:
                optimizer.build(self.trainable_variables)
            self._schedule = continued(optimizer)
        self._first_values = FirstValues(optimizer, self.trainable_variables)

    def check_restarts(self, steps: int | None = None) -> None:
        """Checks that the optimizer can be brought back to its first step.

        Args:
            steps: int, the batches in an epoch, or None if the data do not
                say. Defaults to None.

        Raises:
            UserError: if it was used before it came here, or has a
                learning-rate schedule and the steps are not known.
        """
        self.build_optimizer()
        self._first_values.check()
        if self._schedule is not None and steps is None:
            raise UserError(
                "The learning-rate schedule goes on where a stage begins with "
                "a fresh optimizer, for which the batches of an epoch must be "
                "known. Give `fit` its `steps_per_epoch`, or the dataset its "
                "length (tf.data.experimental.assert_cardinality)."
            )

    def set_steps_before(self, steps: int) -> None:
        """Tells a learning-rate schedule of the steps before the last restart.

        Args:
            steps: int.
        """
        self.build_optimizer()
        if self._schedule is not None:
            self._schedule.steps_before.assign(steps)

    def restart_optimizer(self) -> None:
        """Brings the optimizer back to its first step; the rate stays.

        Its variables take the values that they had before the first step, so
        any optimizer can be restarted. For a learning-rate schedule it is the
        first step too, unless `set_steps_before` says how many came before;
        in `fit` the `CurriculumCallback` does.

        Raises:
            UserError: if the optimizer was used before it came here.
        """
        self.build_optimizer()
        self._first_values.restore()


class Continued(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule that restarts of its optimizer do not set back.

    Args:
        schedule: the `LearningRateSchedule` that goes on.

    Attributes:
        steps_before: int variable, the steps before the optimizer's first one.
    """

    def __init__(self, schedule):
        self.schedule = schedule
        self.steps_before = keras.Variable(
            0,
            dtype="int64",
            trainable=False,
            aggregation="only_first_replica",
            name="steps_before",
        )

    def __call__(self, step):
        step = keras.ops.cast(step, "int64")
        return self.schedule(step + self.steps_before)

    def get_config(self):
        return {"schedule": keras.optimizers.schedules.serialize(self.schedule)}


def continued(optimizer: keras.Optimizer) -> Continued | None:
    """Lets an optimizer's learning-rate schedule outlast its restarts.

    Args:
        optimizer: `keras.Optimizer`.

    Returns:
        What stands for the schedule from now on, or None if the rate follows
        none.
    """
    # Around another one, to scale its loss.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    # What the attribute without an underscore gives is the rate of today.
    schedule = optimizer._learning_rate
    if not isinstance(
        schedule, keras.optimizers.schedules.LearningRateSchedule
    ):
        return None
    if not isinstance(schedule, Continued):
        schedule = optimizer.learning_rate = Continued(schedule)
    return schedule


class FirstValues:
    """The first values of an optimizer's variables, to begin with again.

    They are taken from the variables, so that any optimizer can be restarted:
    it needs no config that makes it again. Where a variable begins with one
    value everywhere, as nearly all do, only that value is kept.

    It is a plain object, into which Keras does not look when it collects or
    saves the weights of a model.

    Args:
        optimizer: built `keras.Optimizer`, before its first step.
        weights: list of the variables that it trains.

    Attributes:
        optimizer: the same.
    """

    def __init__(
        self, optimizer: keras.Optimizer, weights: list[keras.Variable]
    ):
        self.optimizer = optimizer
        self._steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
        copied = _copied(optimizer, weights)
        self._first = [
            (variable, copied.get(id(variable), _compact(variable)))
            for variable in optimizer.variables
            # What a callback or a schedule made of the rate stays.
            if variable.name != "learning_rate"
        ]

    def check(self) -> None:
        """Checks that the values are those of before the first step.

        Raises:
            UserError: if the optimizer was used before it came here.
        """
        if self._steps:
            raise UserError(
                f"The optimizer had taken {self._steps} steps before it was "
                "first seen here, so that no stage can begin with its first "
                "values. Give `compile` a new optimizer."
            )

    def restore(self) -> None:
        """Gives all variables but the learning rate their first values.

        Raises:
            UserError: if the optimizer was used before it came here.
        """
        self.check()
        for variable, value in self._first:
            if not isinstance(value, keras.Variable):
                value = np.broadcast_to(value, variable.shape)
            variable.assign(value)


def _compact(variable):
    """Returns a variable's values, or the one value that all have."""
    values = variable.numpy()
    if values.size and (values == values.flat[0]).all():
        return values.flat[0]
    return values


def _copied(optimizer, weights):
    """Returns the weights that variables begin as copies of, by their ids.

    Slow weights, for example, begin anew as the weights of that day. A copy of
    zeros looks like a moment, so all variables of one kind are judged together.
    """
    # As `add_variable_from_reference` names them.
    prefixes = [weight.path.replace("/", "_") + "_" for weight in weights]
    kinds = {}
    for variable in optimizer.variables:
        for prefix, weight in zip(prefixes, weights, strict=True):
            fits = variable.shape == weight.shape
            if fits and variable.name.startswith(prefix):
                kind = variable.name.removeprefix(prefix)
                kinds.setdefault(kind, []).append((variable, weight))
    return {
        id(variable): weight
        for pairs in kinds.values()
        if any(map(_is_copy, *zip(*pairs)))
        for variable, weight in pairs
    }


def _is_copy(variable, weight):
    values = _compact(variable)
    return np.ndim(values) > 0 and np.array_equal(values, weight.numpy())
