"""Vision transformers with the shapes of open_clip's image towers."""

import keras
from keras import initializers
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.models.blocks import head
from indistill_tf.models.transformer import Deviations
from indistill_tf.models.transformer import Positions
from indistill_tf.models.transformer import block
from indistill_tf.models.transformer import check_heads
from indistill_tf.models.transformer import layer_norm
from indistill_tf.models.transformer import project

_TAPS = 4


def vit(
    input_shape: tuple,
    num_classes: int,
    patch_size: int,
    width: int,
    depth: int,
    heads: int,
    embedding_size: int,
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a vision transformer with taps `tap_1` ... `tap_4`.

    open_clip's image tower ends at `embedding`, the projected class token;
    the classifier `fc` behind it is ours, so that the tower can be trained
    and distilled like every other network. A tap is the patches' tokens after
    a quarter, a half, three quarters and all of the blocks, laid out as the
    patches lie in the image; the class token passes beside it.

    Fresh kernels have the standard deviations that PyTorch's defaults give
    open_clip's tower, drawn from normal distributions (the patch convolution
    from PyTorch's uniform one); class token, positions and projection have
    `width ** -0.5`, biases are zero.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images, H and W multiples
            of `patch_size`.
        num_classes: int, the number of logits.
        patch_size: int, p, pixels along a patch.
        width: int, channels of the tokens.
        depth: int, number of blocks, a multiple of 4.
        heads: int, attention heads; they divide `width`.
        embedding_size: int, channels of `embedding`.
        synchronized: bool, taken so that all builders are called alike; there
            are no batch statistics to share. Defaults to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from images to logits `[N, num_classes]`
        with endpoints `tap_<i>` `[N, H / p, W / p, width]`, `embedding`
        `[N, embedding_size]` and `logits`. Up to `embedding`, `vit_b_16` has
        86,192,640 parameters on images of 224 x 224, `vit_l_14` 303,966,208.

    Raises:
        UserError: if the image is no multiple of the patch, the depth none of
            4, or the width none of the heads.

    References:
        - [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929)
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), sec. 2.4
        - [open_clip](https://github.com/mlfoundations/open_clip)
    """
    _check(input_shape, patch_size, depth)
    check_heads(width, heads)
    inputs = keras.Input(input_shape, name="image")
    x = _patches(inputs, patch_size, width)
    grid = x.shape[1:3]
    x = layers.Reshape((grid[0] * grid[1], -1), name="patches")(x)
    x = ClassToken(name="class_token")(x)
    x = Positions(width**-0.5, name="positions")(x)
    x = layer_norm("ln_pre")(x)
    for index in range(1, depth + 1):
        x = block(x, heads, _deviations(width), f"block{index}")
        if index % (depth // _TAPS) == 0:
            x = _tap(x, grid, f"tap_{index * _TAPS // depth}")
    x = layers.Cropping1D((0, grid[0] * grid[1]), name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = project(layer_norm("ln_post")(x), embedding_size)
    return keras.Model(inputs, head(x, num_classes, "fc"), name=name)


@keras.saving.register_keras_serializable(package="indistill_tf")
class ClassToken(layers.Layer):
    """Puts one learned token in front of the others.

    Its start is normal with deviation `C ** -0.5`.

    Call arguments:
        x: tensor `[N, T, C]`; the output is `[N, 1 + T, C]`.
    """

    def build(self, input_shape):
        width = input_shape[-1]
        self.embedding = self.add_weight(
            shape=(width,),
            initializer=initializers.RandomNormal(stddev=width**-0.5),
            name="embedding",
        )

    def call(self, x):
        shape = (ops.shape(x)[0], 1, x.shape[-1])
        return ops.concatenate(
            [ops.broadcast_to(self.embedding, shape), x], axis=1
        )

    def compute_output_shape(self, input_shape):
        batch, tokens, width = input_shape
        return (batch, tokens + 1, width)


def _patches(inputs, patch_size, width):
    # PyTorch's default for convolutions: uniform, variance 1 / (3 fan_in).
    initializer = initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return layers.Conv2D(
        width,
        patch_size,
        strides=patch_size,
        use_bias=False,
        kernel_initializer=initializer,
        name="conv1",
    )(inputs)


def _tap(x, grid, name):
    # The map lies on the way to the output: a layer beside it would be in no
    # functional model, and could be neither saved nor tapped.
    class_token = layers.Cropping1D(
        (0, grid[0] * grid[1]), name=f"{name}_class_token"
    )(x)
    x = layers.Cropping1D((1, 0), name=f"{name}_patches")(x)
    x = layers.Reshape((*grid, -1), name=name)(x)
    x = layers.Reshape((grid[0] * grid[1], -1), name=f"{name}_flat")(x)
    return layers.Concatenate(axis=1, name=f"{name}_tokens")([class_token, x])


def _deviations(width):
    # Of Xavier's uniform on the stacked query, key and value kernel, and of
    # PyTorch's uniform 1 / sqrt(fan_in) on the others.
    return Deviations(
        attention=(2 * width) ** -0.5,
        output=(3 * width) ** -0.5,
        mlp_1=(3 * width) ** -0.5,
        mlp_2=(12 * width) ** -0.5,
    )


def _check(input_shape, patch_size, depth):
    if any(size % patch_size for size in input_shape[:2]):
        raise UserError(
            "Height and width in `input_shape` must be multiples of "
            f"`patch_size`. Received: input_shape={tuple(input_shape)}, "
            f"patch_size={patch_size}. Resize the images (the reference uses "
            "224 x 224)."
        )
    if depth < _TAPS or depth % _TAPS:
        raise UserError(
            f"`depth` must be a multiple of {_TAPS}. Received: depth={depth}"
        )
