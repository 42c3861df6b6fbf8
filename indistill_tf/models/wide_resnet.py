"""The wide residual networks of the CIFAR-100 comparisons."""

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import conv
from indistill_tf.models.blocks import pooled_classifier
from indistill_tf.models.preactivation_resnet import preactivation_stage


def wide_resnet(
    input_shape: tuple,
    num_classes: int,
    depth: int,
    widening: int,
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds WRN-`depth`-`widening`, a pre-activation ResNet of three stages.

    Each stage has `(depth - 4) / 6` blocks. A stage ends in a sum that only
    the next block normalises and activates; the last one is followed by
    `bn_last` and `relu_last`, so the embedding has no negative values though
    `tap_3` has. There is no dropout, as in the distillation papers.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        depth: int, `6 n + 4`.
        widening: int, k: the stages are 16 k, 32 k and 64 k wide, the stem 16.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` with endpoints `tap_1` ... `tap_3` (the last
        sum of each stage), `embedding` and `logits`. With 100 classes
        WRN-40-2 has 2,255,156 trainable parameters, WRN-40-1 569,780 and
        WRN-16-2 703,284.

    Raises:
        UserError: if the depth is not `6 n + 4`.

    References:
        - [Zagoruyko and Komodakis, 2016](https://arxiv.org/abs/1605.07146)
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699) for the pairs
    """
    blocks, rest = divmod(depth - 4, 6)
    if blocks < 1 or rest:
        raise UserError(
            "`depth` of a wide ResNet must be 6 n + 4, such as 16 or 40. "
            f"Received: depth={depth}"
        )
    inputs = keras.Input(input_shape, name="image")
    x = conv(16, 3, 1, "conv1")(inputs)
    for stage, width in enumerate((16, 32, 64), start=1):
        x = preactivation_stage(
            x, stage, width * widening, blocks, synchronized
        )
    x = batch_norm("bn_last", synchronized)(x)
    x = layers.ReLU(name="relu_last")(x)
    return pooled_classifier(inputs, x, num_classes, name)
