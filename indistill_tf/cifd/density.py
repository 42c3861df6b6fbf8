"""Learned densities of a noisy code: how many nats it takes to describe it.

The rate of a rate-distortion module and of an information bottleneck is
`-log q` of the code, where `q` is one of these layers. They compute in
float32 whatever the global dtype policy: at a probability of 1e-9 half
precision has nothing left. Their parameters want no weight decay; give them to
`optimizer.exclude_from_weight_decay` where the optimizer has any.
"""

import math
from typing import Any

import keras
from keras import ops

from indistill_tf.cifd.code_density import CodeDensity
from indistill_tf.cifd.gaussian import GaussianDensity
from indistill_tf.cifd.noise import UniformNoise
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.hints import Tensor

# The smallest probability of one code dimension: 20.7 nats.
FLOOR = 1e-9


@keras.saving.register_keras_serializable(package="indistill_tf")
class FactorizedDensity(CodeDensity):
    """A learned monotone distribution function for each code dimension.

    `F(v) = sigmoid(f_K(... f_1(v)))` with `f_k(v) = g_k(softplus(H_k) v + b_k)`
    and `g_k(v) = v + tanh(a_k) tanh(v)`, the last `g` being the identity. Each
    dimension has its own `H`, `b` and `a`. The noise is uniform on
    [-0.5, 0.5], so the density of a noisy code, and the probability of a
    rounded one, is `q(v) = F(v + 0.5) - F(v - 0.5)`; over the integers it sums
    to one.

    `log q` is computed as `log sigmoid(u) + log sigmoid(-l) + log(1 -
    exp(l - u))` from the logits `u`, `l` of the two ends, which needs no sign
    trick to be exact in both tails.

    Args:
        modules: int or None, see `CodeDensity`. Defaults to None.
        hidden: tuple of ints, the widths inside `f`. Empty gives a logistic
            distribution. Defaults to `(3, 3, 3)`.
        init_scale: float above 0; about as wide is the untrained
            distribution: a logistic of that scale. Defaults to 10.
        **kwargs: `name` and `trainable` of the layer.

    Call arguments:
        codes: noisy or rounded codes `[N, C]`, or `[M, N, C]`.

    Returns:
        The rate `-log q` in nats, summed over dimensions: float32 `[N]`, or
        `[M, N]`. No dimension costs more than `-log 1e-9 = 20.7`; the gradient
        of a costlier one is that of its true `-log q`, so that no code is lost
        in a tail.

    Raises:
        UserError: if `init_scale` or a width is not positive, or the codes
            have another number of axes.

    References:
        - [Balle et al., 2018](https://arxiv.org/abs/1802.01436), appendix 6.1
        - CIFD, NeurIPS 2024, eq. 3 and 4
    """

    def __init__(
        self,
        modules: int | None = None,
        hidden: tuple[int, ...] = (3, 3, 3),
        init_scale: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(modules, **kwargs)
        if init_scale <= 0 or any(width < 1 for width in hidden):
            raise UserError(
                "`init_scale` and the widths in `hidden` must be above 0. "
                f"Received: init_scale={init_scale}, hidden={tuple(hidden)}"
            )
        self.hidden = tuple(hidden)
        self.init_scale = init_scale

    def noise(
        self, frozen: str = "round", seed: int | None = None
    ) -> UniformNoise:
        """Returns `UniformNoise`, the same draw for all modules."""
        shared = () if self.modules is None else (0,)
        return UniformNoise(frozen=frozen, shared_axes=shared, seed=seed)

    def build(self, shape: tuple) -> None:
        if len(shape) != (2 if self.modules is None else 3):
            expected = "[N, C]" if self.modules is None else "[M, N, C]"
            raise UserError(
                f"A density with `modules={self.modules}` takes codes "
                f"{expected}. Received the shape: {tuple(shape)}"
            )
        lead = (self.modules or 1, shape[-1])
        widths = (1, *self.hidden, 1)
        slope = self.init_scale ** (-1 / (len(widths) - 1))
        self.matrices, self.biases, self.gates = [], [], []
        for k, (before, after) in enumerate(zip(widths, widths[1:])):
            # softplus of it: all of them together scale by 1 / init_scale.
            start = keras.initializers.Constant(
                math.log(math.expm1(slope / after))
            )
            self.matrices.append(
                self.add_weight((*lead, after, before), start, name=f"h_{k}")
            )
            spread = keras.initializers.RandomUniform(-0.5, 0.5)
            self.biases.append(
                self.add_weight((*lead, after, 1), spread, name=f"b_{k}")
            )
            if k < len(self.hidden):
                self.gates.append(
                    self.add_weight((*lead, after, 1), "zeros", name=f"a_{k}")
                )

    def call(self, codes: Tensor) -> Tensor:
        exact = self.log_likelihood(codes)
        floored = ops.maximum(exact, math.log(FLOOR))
        # The value of the one, the gradient of the other.
        rate = -(exact + ops.stop_gradient(floored - exact))
        return ops.sum(rate, axis=-1)

    def likelihood(self, codes: Tensor) -> Tensor:
        """Returns `q` of each dimension, without the floor.

        Args:
            codes: `[N, C]`, or `[M, N, C]`.

        Returns:
            float32 of the same shape, in [0, 1].
        """
        return ops.exp(self.log_likelihood(codes))

    def log_likelihood(self, codes: Tensor) -> Tensor:
        """Returns `log q` of each dimension in nats, without the floor.

        Args:
            codes: `[N, C]`, or `[M, N, C]`.

        Returns:
            float32 of the same shape, at most 0.
        """
        codes = ops.cast(codes, "float32")
        if not self.built:
            self.build(codes.shape)
        if self.modules is None:
            return self._log_likelihood(codes[None])[0]
        return self._log_likelihood(codes)

    def _log_likelihood(self, codes):
        values = ops.transpose(codes, (0, 2, 1))[:, :, None, :]
        # Both ends in one pass: [M, C, 1, 2 N].
        ends = ops.concatenate([values - 0.5, values + 0.5], axis=-1)
        lower, upper = ops.split(self._logits(ends)[:, :, 0, :], 2, axis=-1)
        # Equal only by rounding, far out.
        width = ops.maximum(upper - lower, 1e-12)
        log_q = (
            ops.log(-ops.expm1(-width))
            - ops.softplus(-upper)
            - ops.softplus(lower)
        )
        return ops.transpose(log_q, (0, 2, 1))

    def _logits(self, values):
        for k, (matrix, bias) in enumerate(zip(self.matrices, self.biases)):
            values = ops.matmul(ops.softplus(matrix), values) + bias
            if k < len(self.gates):
                values += ops.tanh(self.gates[k]) * ops.tanh(values)
        return values

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "init_scale": self.init_scale,
        }


DENSITIES = {"factorized": FactorizedDensity, "gaussian": GaussianDensity}


def density(name, modules=None):
    """Returns a density by name.

    Args:
        name: `"factorized"` or `"gaussian"`.
        modules: int or None, see `CodeDensity`. Defaults to None.

    Raises:
        UserError: if there is no such density.
    """
    if name not in DENSITIES:
        raise unknown_name("density", name, DENSITIES)
    return DENSITIES[name](modules)
