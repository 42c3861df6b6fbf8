"""What the densities of a code have in common: how one stands for another."""

from typing import Any

import keras

from indistill_tf.errors import UserError
from indistill_tf.seeded import SeededLayer


class CodeDensity(keras.layers.Layer):
    """Base of the densities of a code, all of them called `layer(codes)`.

    What makes them exchangeable is that a density also says which noise it
    belongs to and what an encoder has to give it:

    ```python
    encoded = encoder(x)  # width: density.encoder_outputs * code width
    noisy = density.noise()(encoded, training=training)
    rate = density(noisy if density.reads_noisy else encoded)
    ```

    Args:
        modules: int, M, for M densities side by side with weights of their
            own; every argument and result then has a leading axis of M.
            Defaults to None: one density, and no such axis.
        **kwargs: `name` and `trainable` of the layer. A `dtype` is ignored:
            densities are float32.

    Raises:
        UserError: if `modules` is below 1.

    Attributes:
        encoder_outputs: int, numbers from the encoder for each code dimension.
        reads_noisy: bool, whether the rate is computed from the code with
            noise, or from what the encoder gave.
    """

    encoder_outputs = 1
    reads_noisy = True

    def __init__(self, modules: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if modules is not None and modules < 1:
            raise UserError(
                "`modules` must be at least 1, or None. "
                f"Received: modules={modules}"
            )
        self.modules = modules

    def noise(
        self, frozen: str = "round", seed: int | None = None
    ) -> SeededLayer:
        """Returns the layer that adds the noise this density is made for.

        Args:
            frozen: what replaces the noise at inference, see `UniformNoise`.
            seed: int or None, of the noise.
        """
        raise NotImplementedError

    def compute_output_shape(self, shape: tuple) -> tuple:
        return tuple(shape[:-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "modules": self.modules}
