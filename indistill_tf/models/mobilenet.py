"""MobileNet-V1 as the ImageNet comparisons use it.

`keras.applications` has another one: ReLU6, an off-centre padding and other
constants of normalisation, so published students cannot be compared with it.
"""

import keras
from keras import layers

from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import conv
from indistill_tf.models.blocks import conv_bn_relu
from indistill_tf.models.blocks import pooled_classifier

# Width and stride of the thirteen separable blocks; Table 1.
_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
# The last block at each resolution from 1/4 on.
_TAPS = {3: "tap_1", 5: "tap_2", 11: "tap_3", 13: "tap_4"}


def mobilenet_v1(
    input_shape: tuple,
    num_classes: int,
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds MobileNet-V1 of width 1.

    A 3 x 3 stem with stride 2 and thirteen blocks of a depthwise 3 x 3 and a
    1 x 1 convolution, each followed by batch normalisation and a plain ReLU;
    strided convolutions are padded by one pixel on every side.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` with endpoints `tap_1` ... `tap_4` (blocks
        3, 5, 11 and 13: 128, 256, 512 and 1024 channels at 56, 28, 14 and 7
        pixels of a 224-pixel image), `embedding` (1024 wide) and `logits`;
        4,231,976 trainable parameters with 1000 classes.

    References:
        - [Howard et al., 2017](https://arxiv.org/abs/1704.04861), Table 1
        - [Yang et al., 2021](https://openreview.net/forum?id=ZzwDy_wiWv) for
          the blocks whose maps are compared
    """
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn_relu(inputs, 32, 3, 2, 1, synchronized=synchronized)
    for index, (width, strides) in enumerate(_BLOCKS, start=1):
        x = _depthwise(x, strides, f"block{index}_depthwise", synchronized)
        prefix = f"block{index}_pointwise"
        x = conv(width, 1, 1, prefix)(x)
        x = batch_norm(f"{prefix}_bn", synchronized)(x)
        x = layers.ReLU(name=_TAPS.get(index, f"{prefix}_relu"))(x)
    return pooled_classifier(inputs, x, num_classes, name)


def _depthwise(x, strides, prefix, synchronized):
    # Keras would count all channels as a filter's inputs, which makes "he"
    # weights sqrt(C) times too small: a depthwise filter reads 3 x 3 values.
    initializer = keras.initializers.RandomNormal(stddev=(2 / 9) ** 0.5)
    if strides > 1:
        x = layers.ZeroPadding2D(1, name=f"{prefix}_pad")(x)
    x = layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        use_bias=False,
        depthwise_initializer=initializer,
        name=prefix,
    )(x)
    x = batch_norm(f"{prefix}_bn", synchronized)(x)
    return layers.ReLU(name=f"{prefix}_relu")(x)
