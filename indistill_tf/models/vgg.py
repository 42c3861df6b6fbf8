"""The VGG networks of the CIFAR-100 comparisons, with a single dense layer."""

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import check_window
from indistill_tf.models.blocks import conv
from indistill_tf.models.blocks import pooled_classifier

_WIDTHS = (64, 128, 256, 512, 512)
# depth -> convolutions in each of the five blocks.
_CONVOLUTIONS = {8: 1, 13: 2}
# Smaller images reach the last block at 1/8 of their size, not 1/16.
_FOUR_POOLS = 64


def vgg(
    input_shape: tuple,
    num_classes: int,
    depth: int,
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds VGG-8 or VGG-13 with batch normalisation.

    Five blocks of one or two 3 x 3 convolutions with bias, batch normalisation
    and ReLU, 64, 128, 256, 512 and 512 wide. Max-pooling follows the first
    three, and the fourth in images of 64 pixels or more; then comes the global
    average and one dense layer, where the ImageNet networks have three.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        depth: int, 8 or 13.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` with endpoints `tap_1` ... `tap_5` (the last
        ReLU of each block, before pooling), `embedding` (512 wide) and
        `logits`. With 100 classes VGG-8 has 3,965,028 trainable parameters and
        VGG-13 9,462,180.

    Raises:
        UserError: if the depth is neither, or the image is below 8 pixels.

    References:
        - [Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699) for these nets
    """
    if depth not in _CONVOLUTIONS:
        raise UserError(
            f"`depth` must be one of {list(_CONVOLUTIONS)}. "
            f"Received: depth={depth}"
        )
    pools = 4 if min(input_shape[:2]) >= _FOUR_POOLS else 3
    inputs = x = keras.Input(input_shape, name="image")
    for block, width in enumerate(_WIDTHS, start=1):
        x = _block(x, block, width, _CONVOLUTIONS[depth], synchronized)
        if block <= pools:
            check_window(x, 2, input_shape)
            x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
    return pooled_classifier(inputs, x, num_classes, name)


def _block(x, block, width, convolutions, synchronized):
    for index in range(1, convolutions + 1):
        prefix = f"block{block}"
        x = conv(width, 3, 1, f"{prefix}_conv{index}", use_bias=True)(x)
        x = batch_norm(f"{prefix}_bn{index}", synchronized)(x)
        inner = f"{prefix}_relu{index}"
        end = f"tap_{block}" if index == convolutions else inner
        x = layers.ReLU(name=end)(x)
    return x
