"""Layers that the networks share, with the references' constants."""

from keras import layers


def batch_norm(name, synchronized=False):
    """Returns a batch normalisation with momentum 0.9 and epsilon 1e-5.

    Keras' default momentum of 0.99 leaves the moving statistics far behind in
    runs of a few hundred steps; a student then looks untrained in evaluation.

    Args:
        name: string, the layer's name.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
    """
    return layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=name
    )


def conv(filters, kernel_size, strides, name):
    """Returns a function applying a bias-free, centred convolution.

    Padding is `kernel_size // 2` on each side: with stride 2, Keras' own
    `"same"` would shift the sampling grid by a pixel against the references.

    Args:
        filters: int, output channels.
        kernel_size: int.
        strides: int.
        name: string, the convolution's name.
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
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )(x)

    return apply


def head(embedding, num_classes, name):
    """Applies the classifier; the `logits` endpoint is always float32.

    Args:
        embedding: tensor `[N, D]`.
        num_classes: int.
        name: string, the dense layer's name.
    """
    x = layers.Dense(num_classes, name=name)(embedding)
    return layers.Activation("linear", dtype="float32", name="logits")(x)
