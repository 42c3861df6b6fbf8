"""CLIP's residual network: open_clip's image tower RN50."""

import keras
from keras import initializers
from keras import layers
from keras import ops

from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import check_window
from indistill_tf.models.blocks import conv
from indistill_tf.models.blocks import conv_bn_relu
from indistill_tf.models.blocks import head
from indistill_tf.models.transformer import Positions

# A bottleneck's last convolution is this much wider than its first two.
_EXPANSION = 4
_HEAD = 64
_SMALLEST = 32


def clip_resnet(
    input_shape: tuple,
    num_classes: int,
    blocks: tuple[int, ...] = (3, 4, 6, 3),
    width: int = 64,
    embedding_size: int = 1024,
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds the residual network of CLIP, with taps `tap_1` ... `tap_4`.

    It differs from ResNet-50 in a stem of three convolutions, in strides that
    are average pooling, in front of the last convolution and on the shortcut,
    and in its end: the last map's mean attends to the map's positions, and a
    dense layer makes of it what CLIP calls the embedding. The classifier `fc`
    behind it is ours, as in `vit`.

    The attention has heads of 64 channels. Its four kernels and the positions
    start normal with deviation `(32 width) ** -0.5`, the scale of each block's
    last normalisation at zero, convolutions as in all networks here.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images, 32 pixels a side
            or more.
        num_classes: int, the number of logits.
        blocks: four ints, of each stage. Defaults to those of RN50.
        width: int, channels of the first stage's inner convolutions, an even
            number. Defaults to 64.
        embedding_size: int, channels of `embedding`. Defaults to 1024.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from images to logits `[N, num_classes]`
        with endpoints `tap_<i>`, the stages' outputs after their last ReLU,
        `[N, H / 4, W / 4, 4 width]` to `[N, H / 32, W / 32, 32 width]`,
        `embedding` `[N, embedding_size]` and `logits`. Up to `embedding` it
        has 38,316,896 trainable parameters on images of 224 x 224.

    Raises:
        UserError: if the image is too small.

    References:
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), sec. 2.4
        - [open_clip](https://github.com/mlfoundations/open_clip)
    """
    inputs = keras.Input(input_shape, name="image")
    check_window(inputs, _SMALLEST, input_shape)
    x = inputs
    for index, (filters, strides) in enumerate(
        ((width // 2, 2), (width // 2, 1), (width, 1)), start=1
    ):
        x = conv_bn_relu(
            x, filters, 3, strides, index, synchronized=synchronized
        )
    x = layers.AveragePooling2D(2, name="pool1")(x)
    for stage, count in enumerate(blocks, start=1):
        for block in range(1, count + 1):
            x = _block(
                x,
                width * 2 ** (stage - 1),
                2 if stage > 1 and block == 1 else 1,
                f"stage{stage}_block{block}",
                f"tap_{stage}" if block == count else None,
                synchronized,
            )
    x = _attention_pool(x, embedding_size)
    return keras.Model(inputs, head(x, num_classes, "fc"), name=name)


@keras.saving.register_keras_serializable(package="indistill_tf")
class MeanToken(layers.Layer):
    """Puts the mean of all tokens in front of them.

    Call arguments:
        x: tensor `[N, T, C]`; the output is `[N, 1 + T, C]`.
    """

    def call(self, x):
        return ops.concatenate([ops.mean(x, axis=1, keepdims=True), x], axis=1)

    def compute_output_shape(self, input_shape):
        batch, tokens, width = input_shape
        return (batch, tokens + 1, width)


@keras.saving.register_keras_serializable(package="indistill_tf")
class Attend(layers.Layer):
    """Scaled dot-product attention of several heads, without weights.

    Args:
        heads: int; they divide C.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        query: tensor `[N, Q, C]`; the output has its shape.
        key: tensor `[N, T, C]`.
        value: tensor `[N, T, C]`.
    """

    def __init__(self, heads, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, query, key, value):
        shape = (-1, query.shape[1], query.shape[2])
        attended = ops.nn.dot_product_attention(
            *(self._split(x) for x in (query, key, value))
        )
        return ops.reshape(attended, shape)

    def _split(self, x):
        tokens, width = x.shape[1:]
        return ops.reshape(x, (-1, tokens, self.heads, width // self.heads))

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


def _block(x, width, strides, prefix, end, synchronized):
    wide, shortcut = _EXPANSION * width, x
    if strides > 1 or x.shape[-1] != wide:
        shortcut = _pool(x, strides, f"{prefix}_shortcut_pool")
        shortcut = conv(wide, 1, 1, f"{prefix}_shortcut")(shortcut)
        shortcut = batch_norm(f"{prefix}_shortcut_bn", synchronized)(shortcut)
    x = conv_bn_relu(x, width, 1, 1, 1, f"{prefix}_", synchronized)
    x = conv_bn_relu(x, width, 3, 1, 2, f"{prefix}_", synchronized)
    x = _pool(x, strides, f"{prefix}_pool")
    x = conv(wide, 1, 1, f"{prefix}_conv3")(x)
    x = batch_norm(f"{prefix}_bn3", synchronized, scale="zeros")(x)
    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    return layers.ReLU(name=end or f"{prefix}_relu3")(x)


def _pool(x, strides, name):
    if strides == 1:
        return x
    return layers.AveragePooling2D(strides, name=name)(x)


def _attention_pool(x, embedding_size):
    height, width, channels = x.shape[1:]
    x = layers.Reshape((height * width, channels), name="tokens")(x)
    x = MeanToken(name="mean_token")(x)
    x = Positions(channels**-0.5, name="positions")(x)
    # Only the mean's own answer is read, so nothing else asks.
    mean = layers.Cropping1D((0, height * width), name="mean")(x)

    def dense(units, name):
        initializer = initializers.RandomNormal(stddev=channels**-0.5)
        return layers.Dense(units, kernel_initializer=initializer, name=name)

    x = Attend(max(channels // _HEAD, 1), name="attend")(
        dense(channels, "query")(mean),
        dense(channels, "key")(x),
        dense(channels, "value")(x),
    )
    x = dense(embedding_size, "projection")(layers.Flatten(name="flatten")(x))
    return layers.Activation("linear", dtype="float32", name="embedding")(x)
