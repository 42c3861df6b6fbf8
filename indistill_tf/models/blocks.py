"""Layers that the networks share, with the references' constants."""

import keras
from keras import layers

from indistill_tf.errors import UserError


def batch_norm(name, synchronized=False, scale="ones"):
    """Returns a batch normalisation with momentum 0.9 and epsilon 1e-5.

    Keras' default momentum of 0.99 leaves the moving statistics far behind in
    runs of a few hundred steps; a student then looks untrained in evaluation.

    Args:
        name: string, the layer's name.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        scale: string, the initialiser of the scale. Defaults to `"ones"`.
    """
    return layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        synchronized=synchronized,
        gamma_initializer=scale,
        name=name,
    )


def conv(filters, kernel_size, strides, name, use_bias=False):
    """Returns a function applying a centred convolution.

    Padding is `kernel_size // 2` on each side: with stride 2, Keras' own
    `"same"` would shift the sampling grid by a pixel against the references.

    Args:
        filters: int, output channels.
        kernel_size: int.
        strides: int.
        name: string, the convolution's name.
        use_bias: bool. Defaults to False, as normalisation removes a bias.
    """

    def apply(x):
        padding = "same" if strides == 1 else "valid"
        if strides > 1 and kernel_size > 1:
            x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        return layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            use_bias=use_bias,
            kernel_initializer="he_normal",
            name=name,
        )(x)

    return apply


def conv_bn_relu(
    x, filters, kernel_size, strides, index, prefix="", synchronized=False
):
    """Applies a convolution, batch normalisation and ReLU.

    Args:
        x: tensor `[N, H, W, C]`.
        filters: int, output channels.
        kernel_size: int.
        strides: int.
        index: int, the number at the end of the three layers' names.
        prefix: string before `conv`, `bn` and `relu`. Defaults to none.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.

    Returns:
        Tensor `[N, H / strides, W / strides, filters]`.
    """
    x = conv(filters, kernel_size, strides, f"{prefix}conv{index}")(x)
    x = batch_norm(f"{prefix}bn{index}", synchronized)(x)
    return layers.ReLU(name=f"{prefix}relu{index}")(x)


def check_window(x, window, input_shape):
    """Refuses a map that is smaller than the window that comes next.

    Args:
        x: symbolic tensor `[N, H, W, C]`.
        window: int, pixels a side of the convolution or pooling.
        input_shape: tuple `(H, W, C)` of the images, for the message.

    Raises:
        UserError: if the map's height or width is below `window`.
    """
    if min(x.shape[1:3]) < max(window, 1):
        raise UserError(
            f"An image of shape {tuple(input_shape)} is too small for this "
            f"network: a map of {x.shape[1]} x {x.shape[2]} pixels meets a "
            f"window of {window}. Use larger images (the papers use 32 x 32)."
        )


def pooled_classifier(inputs, x, num_classes, name):
    """Ends a network in global average pooling and the classifier `fc`.

    Args:
        inputs: the network's symbolic images `[N, H, W, C]`.
        x: symbolic tensor `[N, h, w, D]`, its last map.
        num_classes: int.
        name: string, the model's name.

    Returns:
        A functional `keras.Model`; the pooled map is its `embedding`.
    """
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    return keras.Model(inputs, head(x, num_classes, "fc"), name=name)


def head(embedding, num_classes, name):
    """Applies the classifier; the `logits` endpoint is always float32.

    Args:
        embedding: tensor `[N, D]`.
        num_classes: int.
        name: string, the dense layer's name.
    """
    x = layers.Dense(num_classes, name=name)(embedding)
    return layers.Activation("linear", dtype="float32", name="logits")(x)
