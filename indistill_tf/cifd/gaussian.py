"""The Gaussian code of variational bottlenecks, beside the learned density."""

import keras
from keras import ops

from indistill_tf.cifd.code_density import CodeDensity
from indistill_tf.cifd.noise import NormalNoise
from indistill_tf.cifd.noise import split_normal
from indistill_tf.hints import Tensor


@keras.saving.register_keras_serializable(package="indistill_tf")
class GaussianDensity(CodeDensity):
    """The variational bottleneck's alternative: a standard normal density.

    The encoder gives a mean and a log of the standard deviation for each code
    dimension, the noise is normal with these, and the rate is `KL(N(mu, sigma)
    || N(0, 1)) = (mu**2 + sigma**2 - 1) / 2 - log sigma`. Nothing is learned
    here, and a frozen code is its mean, not rounded.

    Args:
        modules: int or None, see `CodeDensity`. Defaults to None.
        **kwargs: `name` and `trainable` of the layer.

    Call arguments:
        codes: `[N, 2 C]`, or `[M, N, 2 C]`, what the encoder gave: C means,
            then C logs of standard deviations.

    Returns:
        The rate in nats, summed over dimensions: float32 `[N]`, or `[M, N]`.

    Raises:
        UserError: if the width is odd.

    References:
        - [Alemi et al., 2016](https://arxiv.org/abs/1612.00410)
    """

    encoder_outputs = 2
    reads_noisy = False

    def noise(
        self, frozen: str = "round", seed: int | None = None
    ) -> NormalNoise:
        """Returns `NormalNoise`; `frozen` is ignored."""
        del frozen
        shared = () if self.modules is None else (0,)
        return NormalNoise(shared_axes=shared, seed=seed)

    def call(self, codes: Tensor) -> Tensor:
        mean, log_deviation = split_normal(codes)
        variance = ops.exp(2 * log_deviation)
        rate = (ops.square(mean) + variance - 1) / 2 - log_deviation
        return ops.sum(rate, axis=-1)
