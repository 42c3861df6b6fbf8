"""Stochastic gradient descent as the methods' authors ran it."""

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor


@keras.saving.register_keras_serializable(package="indistill_tf")
class ReferenceSGD(keras.optimizers.SGD):
    """Gradient descent with coupled weight decay and a velocity free of rates.

    It differs from `keras.optimizers.SGD` in two places. A step is

        g = gradient + weight_decay * w
        v = momentum * v + g
        w = w - learning_rate * v

    First, the decay is part of the gradient, so the momentum carries it; Keras
    shrinks the weights beside the step. It concerns every variable, biases and
    batch normalisation too, unless `exclude_from_weight_decay` says otherwise.
    Second, the rate multiplies the velocity when it is used. Keras multiplies
    the gradient by it before the velocity takes it up, so after a drop the old
    rate fades by no more than the momentum in a step.

    Clipping acts on the gradient without the decay, after accumulation.

    Args:
        learning_rate: float, schedule or function. Defaults to 0.01.
        momentum: float from 0 to 1. Defaults to 0.
        nesterov: bool, whether a step follows `g + momentum * v` instead of
            `v`. Defaults to False.
        weight_decay: float, the factor of the weights in the gradient.
            Defaults to 0.
        name: string. Defaults to `"reference_sgd"`.
        **kwargs: further arguments of `keras.optimizers.SGD`.

    Raises:
        UserError: if a number is out of range.

    Example:

    ```python
    optimizer = ReferenceSGD(0.05, momentum=0.9, weight_decay=5e-4)
    ```

    References:
        - [Sutskever et al., 2013](
          https://proceedings.mlr.press/v28/sutskever13.html), sec. 2, for
          momentum and Nesterov's
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        name: str = "reference_sgd",
        **kwargs,
    ):
        check(momentum, nesterov, weight_decay)
        super().__init__(
            learning_rate,
            momentum=float(momentum),
            nesterov=nesterov,
            name=name,
            **kwargs,
        )
        # Not Keras' `weight_decay`, which would shrink the weights once more.
        self.coupled_weight_decay = weight_decay

    def update_step(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: float
    ) -> None:
        """Updates a variable.

        Args:
            gradient: tensor of the variable's shape.
            variable: the variable.
            learning_rate: scalar.
        """
        step = ops.cast(gradient, variable.dtype)
        if self.coupled_weight_decay and self._use_weight_decay(variable):
            step = ops.add(
                step, ops.multiply(variable, self.coupled_weight_decay)
            )
        if self.momentum:
            step = self._with_momentum(step, variable)
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, ops.multiply(step, rate))

    def _with_momentum(self, step, variable):
        slot = self.momentums[self._get_variable_index(variable)]
        velocity = ops.add(ops.multiply(slot, self.momentum), step)
        self.assign(slot, velocity)
        if self.nesterov:
            return ops.add(step, ops.multiply(velocity, self.momentum))
        return velocity

    def get_config(self):
        """Returns the arguments that make the same optimizer again."""
        return {
            **super().get_config(),
            "weight_decay": self.coupled_weight_decay,
        }


def check(momentum: float, nesterov: bool, weight_decay: float):
    """Checks the numbers of a `ReferenceSGD`.

    Args:
        momentum: float.
        nesterov: bool.
        weight_decay: float.

    Raises:
        UserError: if one is out of range.
    """
    if not 0 <= momentum <= 1:
        raise UserError(
            f"`momentum` must lie between 0 and 1. Received: {momentum}"
        )
    if nesterov and not momentum:
        raise UserError(
            "`nesterov` needs a `momentum` above 0. Received: momentum=0"
        )
    if not weight_decay >= 0:
        raise UserError(
            f"`weight_decay` must be 0 or more. Received: {weight_decay}"
        )
