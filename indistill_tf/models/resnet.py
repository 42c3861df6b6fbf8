"""Residual networks: the three-stage CIFAR ResNets, the four-stage ones."""

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import conv
from indistill_tf.models.blocks import conv_bn_relu
from indistill_tf.models.blocks import pooled_classifier

# depth -> (is the block a bottleneck, blocks of each stage); Table 1.
_FOUR_STAGES = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}
# A bottleneck's last convolution is this much wider than its first two.
_EXPANSION = 4


def cifar_resnet(
    input_shape: tuple,
    num_classes: int,
    depth: int,
    widths: tuple[int, ...] = (16, 16, 32, 64),
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
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
    x = conv_bn_relu(inputs, widths[0], 3, 1, 1, synchronized=synchronized)
    for stage, width in enumerate(widths[1:], start=1):
        x = _stage(x, _basic_block, stage, width, blocks, synchronized)
    return pooled_classifier(inputs, x, num_classes, name)


def four_stage_resnet(
    input_shape: tuple,
    num_classes: int,
    depth: int,
    stem: str = "imagenet",
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a post-activation ResNet-18, -34, -50, -101 or -152.

    The bottlenecks of the three deep ones have their stride on the 3 x 3
    convolution, as in torchvision, not on the first one as in the paper.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        depth: int: 18, 34, 50, 101 or 152.
        stem: `"imagenet"`, 7 x 7 with stride 2 and max-pooling, or `"cifar"`,
            one 3 x 3 convolution, for small pictures. Defaults to
            `"imagenet"`.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` with endpoints `tap_1` ... `tap_4` (the
        stage outputs after their last ReLU), `embedding` (512 wide, 2048 from
        depth 50 on) and `logits`. With the ImageNet stem and 1000 classes it
        has, by depth, 11,689,512, 21,797,672, 25,557,032, 44,549,160 and
        60,192,808 trainable parameters; the CIFAR stem has 7,680 fewer.

    Raises:
        UserError: if the depth or the stem is not one of these.

    References:
        - [He et al., 2015](https://arxiv.org/abs/1512.03385), Table 1
    """
    if depth not in _FOUR_STAGES:
        raise UserError(
            f"`depth` must be one of {list(_FOUR_STAGES)}. "
            f"Received: depth={depth}"
        )
    bottleneck, blocks = _FOUR_STAGES[depth]
    block = _bottleneck_block if bottleneck else _basic_block
    inputs = keras.Input(input_shape, name="image")
    x = _stem(inputs, stem, synchronized)
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        x = _stage(x, block, stage, width, blocks[stage - 1], synchronized)
    return pooled_classifier(inputs, x, num_classes, name)


def _stem(x, stem, synchronized):
    if stem == "cifar":
        return conv_bn_relu(x, 64, 3, 1, 1, synchronized=synchronized)
    if stem != "imagenet":
        raise unknown_name("stem", stem, ("cifar", "imagenet"))
    x = conv_bn_relu(x, 64, 7, 2, 1, synchronized=synchronized)
    # After a ReLU a border of zeros never wins the maximum.
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name="pool1")(x)


def _stage(x, apply_block, stage, width, blocks, synchronized):
    for block in range(1, blocks + 1):
        strides = 2 if stage > 1 and block == 1 else 1
        end = f"tap_{stage}" if block == blocks else None
        prefix = f"stage{stage}_block{block}"
        x = apply_block(x, width, strides, prefix, synchronized, end)
    return x


def _basic_block(x, width, strides, prefix, synchronized, end):
    shortcut = _shortcut(x, width, strides, prefix, synchronized)
    x = conv_bn_relu(x, width, 3, strides, 1, f"{prefix}_", synchronized)
    x = conv(width, 3, 1, f"{prefix}_conv2")(x)
    x = batch_norm(f"{prefix}_bn2", synchronized)(x)
    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    return layers.ReLU(name=end or f"{prefix}_relu2")(x)


def _bottleneck_block(x, width, strides, prefix, synchronized, end):
    wide = _EXPANSION * width
    shortcut = _shortcut(x, wide, strides, prefix, synchronized)
    x = conv_bn_relu(x, width, 1, 1, 1, f"{prefix}_", synchronized)
    x = conv_bn_relu(x, width, 3, strides, 2, f"{prefix}_", synchronized)
    x = conv(wide, 1, 1, f"{prefix}_conv3")(x)
    x = batch_norm(f"{prefix}_bn3", synchronized)(x)
    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    return layers.ReLU(name=end or f"{prefix}_relu3")(x)


def _shortcut(x, width, strides, prefix, synchronized):
    if strides == 1 and x.shape[-1] == width:
        return x
    x = conv(width, 1, strides, f"{prefix}_shortcut")(x)
    return batch_norm(f"{prefix}_shortcut_bn", synchronized)(x)
