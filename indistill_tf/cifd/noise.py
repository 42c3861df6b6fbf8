"""The noise that limits what a code can carry.

Layers of noise compute in float32 by default: next to a code of 100 the
spacing of bfloat16 is 0.5, and noise of that width would be lost.
"""

from typing import Any

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.hints import Tensor
from indistill_tf.seeded import SeededLayer

FROZEN = ("round", "identity")


class _Noise(SeededLayer):
    """A layer with a seed, whose draws may be the same along some axes."""

    def __init__(self, shared_axes=(), seed=None, dtype="float32", **kwargs):
        super().__init__(seed=seed, dtype=dtype, **kwargs)
        self.shared_axes = tuple(shared_axes)

    def _shape(self, inputs):
        """Returns the shape of the noise: 1 along the shared axes."""
        rank = len(inputs.shape)
        shared = {axis % rank for axis in self.shared_axes}
        sizes = ops.shape(inputs)
        return tuple(1 if i in shared else sizes[i] for i in range(rank))

    def get_config(self):
        return {**super().get_config(), "shared_axes": self.shared_axes}


@keras.saving.register_keras_serializable(package="indistill_tf")
class UniformNoise(_Noise):
    """Adds noise uniform on [-0.5, 0.5) in training.

    Args:
        frozen: what is done at inference. `"round"` rounds to integers, as a
            frozen rate-distortion module does; `"identity"` passes the code
            through, as the student's bottleneck does. Defaults to `"round"`.
        shared_axes: tuple of ints, axes along which the noise is the same.
            Modules side by side share it: each sees the distribution that it
            would see alone, for one draw. Defaults to none.
        seed: int or None. Defaults to None: a random one.
        **kwargs: `name` and `dtype` of the layer; the dtype defaults to
            `"float32"`.

    Call arguments:
        inputs: codes of any shape.
        training: bool. Defaults to False.

    Returns:
        Codes of the same shape.

    Raises:
        UserError: if `frozen` is neither.

    References:
        - CIFD, NeurIPS 2024, eq. 4 (modules) and 7 (bottleneck)
        - [Balle et al., 2018](https://arxiv.org/abs/1802.01436)
    """

    def __init__(
        self,
        frozen: str = "round",
        shared_axes: tuple[int, ...] = (),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(shared_axes, seed, **kwargs)
        if frozen not in FROZEN:
            raise unknown_name("value of `frozen`", frozen, FROZEN)
        self.frozen = frozen

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training:
            return ops.round(inputs) if self.frozen == "round" else inputs
        # Drawn in float32: short types' uniform numbers have a biased mean.
        draw = keras.random.uniform(
            self._shape(inputs),
            -0.5,
            0.5,
            dtype="float32",
            seed=self.seed_generator,
        )
        return inputs + ops.cast(draw, inputs.dtype)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return tuple(shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "frozen": self.frozen}


@keras.saving.register_keras_serializable(package="indistill_tf")
class NormalNoise(_Noise):
    """Draws a code from the normal distribution that the encoder gave.

    Args:
        shared_axes: tuple of ints, see `UniformNoise`. Defaults to none.
        seed: int or None. Defaults to None: a random one.
        **kwargs: `name` and `dtype` of the layer; the dtype defaults to
            `"float32"`.

    Call arguments:
        inputs: `[..., 2 C]`, C means and C logs of standard deviations.
        training: bool. Defaults to False: the means.

    Returns:
        Codes `[..., C]`.

    References:
        - [Alemi et al., 2016](https://arxiv.org/abs/1612.00410)
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        mean, log_deviation = split_normal(inputs)
        if not training:
            return mean
        draw = keras.random.normal(
            self._shape(mean), dtype="float32", seed=self.seed_generator
        )
        return mean + ops.exp(log_deviation) * ops.cast(draw, mean.dtype)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (*shape[:-1], shape[-1] // 2)


def split_normal(codes):
    """Splits an encoder's output into means and logs of deviations.

    Args:
        codes: tensor `[..., 2 C]`.

    Returns:
        Pair of tensors `[..., C]`.

    Raises:
        UserError: if the width is odd.
    """
    if codes.shape[-1] % 2:
        raise UserError(
            "A Gaussian code needs a mean and a log deviation for each "
            f"dimension, an even width. Received the width: {codes.shape[-1]}"
        )
    return ops.split(codes, 2, axis=-1)
