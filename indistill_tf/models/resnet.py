"""Residual networks of the papers: CIFAR ResNets and three ResNet-18."""

import keras
from keras import layers

from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import conv
from indistill_tf.models.blocks import head


def cifar_resnet(
    input_shape,
    num_classes,
    depth,
    widths=(16, 16, 32, 64),
    synchronized=False,
    name=None,
):
    """Builds a CIFAR ResNet: three stages of `(depth - 2) / 6` basic blocks.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        depth: int, `6 n + 2`.
        widths: four ints: the stem's width, then the three stages'. Defaults
            to 16, 16, 32, 64; the "x4" nets use 32, 64, 128, 256.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` with endpoints `tap_1` ... `tap_3` (the
        stage outputs after their last ReLU), `embedding` and `logits`.
        `resnet32` has 472,756 trainable parameters for 100 classes,
        `resnet32x4` 7,433,860.

    References:
        - [He et al., 2015](https://arxiv.org/abs/1512.03385), sec. 4.2
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699) for the "x4"
          networks
    """
    blocks = (depth - 2) // 6
    inputs = keras.Input(input_shape, name="image")
    x = conv(widths[0], 3, 1, "conv1")(inputs)
    x = batch_norm("bn1", synchronized)(x)
    x = layers.ReLU(name="relu1")(x)
    for stage, width in enumerate(widths[1:], start=1):
        x = _post_activation_stage(x, stage, width, blocks, synchronized)
    return _finish(inputs, x, num_classes, name)


def resnet18(
    input_shape, num_classes, stem="cifar", synchronized=False, name=None
):
    """Builds the post-activation ResNet-18.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        stem: `"cifar"`, one 3 x 3 convolution, for small pictures, or
            `"imagenet"`, 7 x 7 with stride 2 and max-pooling. Defaults to
            `"cifar"`.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` with endpoints `tap_1` ... `tap_4`,
        `embedding` (512 wide) and `logits`. With 10 classes it has 11,173,962
        trainable parameters with the CIFAR stem and 11,181,642 with the
        ImageNet stem.

    References:
        - [He et al., 2015](https://arxiv.org/abs/1512.03385), Table 1
    """
    inputs = keras.Input(input_shape, name="image")
    size, strides = (3, 1) if stem == "cifar" else (7, 2)
    x = conv(64, size, strides, "conv1")(inputs)
    x = batch_norm("bn1", synchronized)(x)
    x = layers.ReLU(name="relu1")(x)
    if stem == "imagenet":
        # After a ReLU a border of zeros never wins the maximum.
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        x = _post_activation_stage(x, stage, width, 2, synchronized)
    return _finish(inputs, x, num_classes, name)


def preactivation_resnet18(
    input_shape, num_classes, synchronized=False, name=None
):
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
    x = conv(64, 3, 1, "conv1")(inputs)
    x = batch_norm("bn1", synchronized)(x)
    x = layers.ReLU(name="relu1")(x)
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (1, 2):
            end = f"tap_{stage}" if block == 2 else None
            strides = 2 if stage > 1 and block == 1 else 1
            prefix = f"stage{stage}_block{block}"
            x = _preactivation_block(
                x, width, strides, prefix, synchronized, end
            )
    return _finish(inputs, x, num_classes, name)


def _post_activation_stage(x, stage, width, blocks, synchronized):
    for block in range(1, blocks + 1):
        strides = 2 if stage > 1 and block == 1 else 1
        prefix = f"stage{stage}_block{block}"
        shortcut = x
        if strides > 1 or x.shape[-1] != width:
            shortcut = conv(width, 1, strides, f"{prefix}_shortcut")(x)
            shortcut = batch_norm(f"{prefix}_shortcut_bn", synchronized)(
                shortcut
            )
        x = conv(width, 3, strides, f"{prefix}_conv1")(x)
        x = batch_norm(f"{prefix}_bn1", synchronized)(x)
        x = layers.ReLU(name=f"{prefix}_relu1")(x)
        x = conv(width, 3, 1, f"{prefix}_conv2")(x)
        x = batch_norm(f"{prefix}_bn2", synchronized)(x)
        x = layers.Add(name=f"{prefix}_add")([x, shortcut])
        end = f"tap_{stage}" if block == blocks else f"{prefix}_relu2"
        x = layers.ReLU(name=end)(x)
    return x


def _preactivation_block(x, width, strides, prefix, synchronized, end):
    y = batch_norm(f"{prefix}_bn1", synchronized)(x)
    y = layers.ReLU(name=f"{prefix}_relu1")(y)
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = conv(width, 1, strides, f"{prefix}_shortcut")(y)
    y = conv(width, 3, strides, f"{prefix}_conv1")(y)
    y = batch_norm(f"{prefix}_bn2", synchronized)(y)
    y = layers.ReLU(name=f"{prefix}_relu2")(y)
    y = conv(width, 3, 1, f"{prefix}_conv2")(y)
    return layers.Add(name=end or f"{prefix}_add")([y, shortcut])


def _finish(inputs, x, num_classes, name):
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    return keras.Model(inputs, head(x, num_classes, "fc"), name=name)
