"""The pre-activation ResNet-18 and its block, which the wide nets share."""

import keras
from keras import layers

from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import conv
from indistill_tf.models.blocks import conv_bn_relu
from indistill_tf.models.blocks import pooled_classifier


def preactivation_resnet18(
    input_shape: tuple,
    num_classes: int,
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds the pre-activation ResNet-18 of the InDistill and PKT-H-CR code.

    A 3 x 3 stem, blocks of batch normalisation, ReLU and convolution, plain
    convolutions as shortcuts and no normalisation after the last stage, so its
    embedding has negative values.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` with endpoints `tap_1` ... `tap_4`,
        `embedding` and `logits`; 11,171,274 trainable parameters with 10
        classes.

    References:
        - [He et al., 2016](https://arxiv.org/abs/1603.05027)
    """
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn_relu(inputs, 64, 3, 1, 1, synchronized=synchronized)
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        x = preactivation_stage(x, stage, width, 2, synchronized)
    return pooled_classifier(inputs, x, num_classes, name)


def preactivation_stage(x, stage, width, blocks, synchronized=False):
    """Applies blocks of normalisation, ReLU and convolution, twice each.

    Where the width or the stride changes, the shortcut is a 1 x 1 convolution
    without normalisation of the activated input.

    Args:
        x: tensor `[N, H, W, C]`.
        stage: int, from 1 on; the first block of a later stage has stride 2.
        width: int, output channels.
        blocks: int, the number of blocks.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.

    Returns:
        Tensor `[N, h, w, width]`, the output of the layer `tap_<stage>`: a
        sum, not activated.
    """
    for block in range(1, blocks + 1):
        strides = 2 if stage > 1 and block == 1 else 1
        prefix = f"stage{stage}_block{block}"
        end = f"tap_{stage}" if block == blocks else f"{prefix}_add"
        x = _block(x, width, strides, prefix, synchronized, end)
    return x


def _block(x, width, strides, prefix, synchronized, end):
    y = batch_norm(f"{prefix}_bn1", synchronized)(x)
    y = layers.ReLU(name=f"{prefix}_relu1")(y)
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = conv(width, 1, strides, f"{prefix}_shortcut")(y)
    y = conv(width, 3, strides, f"{prefix}_conv1")(y)
    y = batch_norm(f"{prefix}_bn2", synchronized)(y)
    y = layers.ReLU(name=f"{prefix}_relu2")(y)
    y = conv(width, 3, 1, f"{prefix}_conv2")(y)
    return layers.Add(name=end)([y, shortcut])
