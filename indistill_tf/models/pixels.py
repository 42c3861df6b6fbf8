"""Networks that read other pixels than normalised ones."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import unknown_name
from indistill_tf.hints import Tensor

# What pixels of 0..1 are multiplied by.
RANGES = {"raw": 255.0, "unit": 1.0}
NORMALIZED = "normalized"


@keras.saving.register_keras_serializable(package="indistill_tf")
class OwnPixels(layers.Layer):
    """Brings normalised images back to pixels, in front of a network.

    Its numbers are weights: they count in the checksum of the network, which
    says other things of the same images without them.

    Args:
        scale: C floats, by which the images are multiplied.
        offset: C floats, which are added then.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        images: `[N, H, W, C]`.

    Returns:
        Tensor `[N, H, W, C]`.
    """

    def __init__(
        self, scale: Sequence[float], offset: Sequence[float], **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.scale, self.offset = tuple(scale), tuple(offset)

    def build(self, shape: tuple) -> None:
        self._numbers = [
            self.add_weight(
                shape=(len(values),),
                initializer=lambda *_, values=values, **__: (
                    ops.convert_to_tensor(values, "float32")
                ),
                trainable=False,
                dtype="float32",
                name=name,
            )
            for name, values in (("scale", self.scale), ("offset", self.offset))
        ]

    def call(self, images: Tensor) -> Tensor:
        scale, offset = self._numbers
        pixels = ops.cast(images, "float32") * scale + offset
        return ops.cast(pixels, self.compute_dtype)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return tuple(shape)

    def get_config(self) -> dict:
        numbers = {"scale": self.scale, "offset": self.offset}
        return {**super().get_config(), **numbers}


def reading(
    network: keras.Model,
    pixels: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> keras.Model:
    """Returns a network of normalised images that is given its own pixels.

    Args:
        network: functional `keras.Model`, from its own pixels.
        pixels: `"raw"` for pixels of 0..255, `"unit"` for 0..1, `"normalized"`
            for the network as it is.
        mean: C floats, by which images are normalised, of pixels scaled to
            0..1.
        std: C floats, likewise.

    Returns:
        A functional `keras.Model` over the same layers.

    Raises:
        UserError: if `pixels` is unknown.
    """
    if pixels == NORMALIZED:
        return network
    if pixels not in RANGES:
        raise unknown_name("pixels", pixels, (NORMALIZED, *RANGES))
    top = RANGES[pixels]
    own = OwnPixels(
        [top * value for value in std],
        [top * value for value in mean],
        dtype="float32",
        name="own_pixels",
    )
    images = keras.Input(network.inputs[0].shape[1:], name="normalized_image")
    return keras.Model(images, network(own(images)), name=network.name)
