"""What the image and the text transformer share: block and positions.

The layers are those of open_clip, whose towers these networks follow; a block
is normalised before each of its two halves.
"""

import dataclasses

import keras
from keras import initializers
from keras import layers

from indistill_tf.errors import UserError

# PyTorch's, which open_clip keeps; Keras' own is 1e-3.
_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Deviations:
    """Standard deviations of a block's freshly drawn kernels.

    All are drawn from normal distributions and all biases are zero.

    Attributes:
        attention: float, of the query, key and value kernels.
        output: float, of the attention's output kernel.
        mlp_1: float, of the kernel that widens.
        mlp_2: float, of the kernel that narrows again.
    """

    attention: float
    output: float
    mlp_1: float
    mlp_2: float


@keras.saving.register_keras_serializable(package="indistill_tf")
class AttentionNormal(initializers.Initializer):
    """Draws the four kernels of one attention layer from two normals.

    `keras.layers.MultiHeadAttention` gives all its kernels one initialiser,
    and the reference draws the output kernel from a narrower distribution.
    The shapes tell them apart: `[width, heads, width / heads]` is a query, key
    or value kernel, `[heads, width / heads, width]` the output kernel.

    Args:
        deviation: float, of the query, key and value kernels.
        output_deviation: float, of the output kernel.
    """

    def __init__(self, deviation, output_deviation):
        self.deviation = deviation
        self.output_deviation = output_deviation

    def __call__(self, shape, dtype=None):
        inward = shape[0] >= shape[-1]
        deviation = self.deviation if inward else self.output_deviation
        return initializers.RandomNormal(stddev=deviation)(shape, dtype)

    def get_config(self):
        return {
            "deviation": self.deviation,
            "output_deviation": self.output_deviation,
        }


@keras.saving.register_keras_serializable(package="indistill_tf")
class Positions(layers.Layer):
    """Adds to each token the learned vector of its position.

    Args:
        deviation: float, the standard deviation of the vectors' start.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        x: tensor `[N, T, C]`.
    """

    def __init__(self, deviation, **kwargs):
        super().__init__(**kwargs)
        self.deviation = deviation

    def build(self, input_shape):
        self.embedding = self.add_weight(
            shape=input_shape[1:],
            initializer=initializers.RandomNormal(stddev=self.deviation),
            name="embedding",
        )

    def call(self, x):
        return x + self.embedding

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "deviation": self.deviation}


def layer_norm(name):
    """Returns a layer normalisation with the references' epsilon, 1e-5.

    Args:
        name: string, the layer's name.
    """
    return layers.LayerNormalization(epsilon=_EPSILON, name=name)


def block(x, heads, deviations, prefix, causal=False):
    """Applies one pre-normalised block: attention, then a two-layer MLP.

    The MLP is four times as wide as the tokens and uses the exact GELU
    `x * Phi(x)`. (OpenAI's own CLIP weights want `x * sigmoid(1.702 x)`
    instead.)

    Args:
        x: tensor `[N, T, C]`.
        heads: int, attention heads of `C / heads` channels each.
        deviations: `Deviations` of the fresh kernels.
        prefix: string before the layers' names: `<prefix>_ln_1`,
            `<prefix>_attention`, `<prefix>_ln_2`, `<prefix>_mlp_1` and
            `<prefix>_mlp_2`.
        causal: bool, whether a token sees only itself and earlier ones.
            Defaults to False.

    Returns:
        Tensor `[N, T, C]`.
    """
    width = x.shape[-1]
    y = layer_norm(f"{prefix}_ln_1")(x)
    attention = layers.MultiHeadAttention(
        heads,
        width // heads,
        kernel_initializer=AttentionNormal(
            deviations.attention, deviations.output
        ),
        name=f"{prefix}_attention",
    )
    y = attention(y, y, use_causal_mask=causal)
    x = layers.Add(name=f"{prefix}_add_1")([x, y])
    y = layer_norm(f"{prefix}_ln_2")(x)
    y = _dense(4 * width, deviations.mlp_1, f"{prefix}_mlp_1", "gelu")(y)
    y = _dense(width, deviations.mlp_2, f"{prefix}_mlp_2")(y)
    return layers.Add(name=f"{prefix}_add_2")([x, y])


def project(x, embedding_size):
    """Applies the bias-free `projection`; the `embedding` is always float32.

    Args:
        x: tensor `[N, C]`.
        embedding_size: int, channels of the embedding.

    Returns:
        Tensor `[N, embedding_size]`, not normalised to unit length.
    """
    projection = layers.Dense(
        embedding_size,
        use_bias=False,
        kernel_initializer=initializers.RandomNormal(
            stddev=x.shape[-1] ** -0.5
        ),
        name="projection",
    )
    return layers.Activation("linear", dtype="float32", name="embedding")(
        projection(x)
    )


def check_heads(width, heads):
    """Raises a `UserError` where heads do not divide the width.

    Args:
        width: int, channels of the tokens.
        heads: int, attention heads.
    """
    if width % heads:
        raise UserError(
            f"`width` must be a multiple of `heads`. Received: width={width}, "
            f"heads={heads}"
        )


def _dense(units, deviation, name, activation=None):
    return layers.Dense(
        units,
        activation=activation,
        kernel_initializer=initializers.RandomNormal(stddev=deviation),
        name=name,
    )
