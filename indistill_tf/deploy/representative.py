"""Images by which the ranges of int8 activations are measured.

The converter takes anything: of no image it writes a float file, of normalised
or constant ones a file that answers wrongly, all without a word.
"""

import numpy as np

from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

_ADVICE = "Give uint8 training images of pixel values 0..255"


def checked(deployable: Deployable, images: Tensor | None) -> np.ndarray:
    """Returns representative images at the network's size.

    Args:
        deployable: `Deployable`.
        images: uint8 array `[N, H, W, C]`.

    Returns:
        uint8 array `[N, *input_shape]`.

    Raises:
        UserError: if there are none, their shape or dtype is another, or all
            of their pixels are equal.
    """
    if images is None or not len(images):
        raise UserError(
            "int8 needs representative images. Received: none. "
            f"{_ADVICE}; 100 suffice."
        )
    images = np.asarray(images)
    channels = deployable.input_shape[-1]
    if images.ndim != 4 or images.shape[-1] != channels:
        raise UserError(
            f"Representative images have the shape (N, H, W, {channels}). "
            f"Received: {images.shape}. {_ADVICE} in a batch."
        )
    if images.dtype != np.uint8:
        raise UserError(
            "Representative images are uint8. Received: "
            f"{_described(images)}. {_ADVICE}, not normalised."
        )
    if images.min() == images.max():
        raise UserError(
            "Representative images show something. Received: "
            f"{len(images)} whose pixels are all {images.flat[0]}. {_ADVICE}."
        )
    if images.max() <= 1:
        raise UserError(
            "Representative images have pixel values 0..255. Received: "
            f"values 0 and 1 alone, as of scaled pixels. {_ADVICE}."
        )
    return deployable.sized(images)


def _described(images):
    if not np.issubdtype(images.dtype, np.floating):
        return images.dtype.name
    finite = np.isfinite(images)
    if not finite.all():
        return f"{images.dtype.name} with {int((~finite).sum())} not finite"
    return f"{images.dtype.name} from {images.min():.3g} to {images.max():.3g}"
