"""Text transformers with the shapes of open_clip's text towers."""

import keras
from keras import initializers
from keras import layers
from keras import ops

from indistill_tf.models.transformer import Deviations
from indistill_tf.models.transformer import Positions
from indistill_tf.models.transformer import block
from indistill_tf.models.transformer import check_heads
from indistill_tf.models.transformer import layer_norm
from indistill_tf.models.transformer import project


def text_transformer(
    context_length: int = 77,
    vocabulary_size: int = 49408,
    width: int = 512,
    depth: int = 12,
    heads: int = 8,
    embedding_size: int = 512,
    name: str | None = None,
) -> keras.Model:
    """Builds a text tower: from token ids to one embedding per text.

    Attention is causal. The feature of a text is read at its end-of-text
    token, which must be the largest id in the row (the last of the
    vocabulary); of several, at the first. What follows it is never seen.

    Fresh weights are open_clip's: token embedding normal with deviation 0.02,
    positions 0.01, query, key and value `width ** -0.5`, the attention's
    output and the MLP's second kernel smaller by `(2 * depth) ** -0.5`, the
    MLP's first `(2 * width) ** -0.5`, projection `width ** -0.5`; biases are
    zero.

    Args:
        context_length: int, T, tokens a text. Defaults to 77.
        vocabulary_size: int, number of token ids. Defaults to 49408, that of
            CLIP's byte pairs.
        width: int, channels of the tokens. Defaults to 512.
        depth: int, number of blocks. Defaults to 12.
        heads: int, attention heads; they divide `width`. Defaults to 8.
        embedding_size: int, channels of `embedding`. Defaults to 512.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from int32 token ids `[N, T]` to
        `embedding` `[N, embedding_size]`, not normalised to unit length.
        `text_b` has 63,428,096 parameters, `text_l` 123,650,304.

    Raises:
        UserError: if the width is no multiple of the heads.

    References:
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), sec. 2.4
        - [open_clip](https://github.com/mlfoundations/open_clip)
    """
    check_heads(width, heads)
    tokens = keras.Input((context_length,), dtype="int32", name="tokens")
    x = layers.Embedding(
        vocabulary_size,
        width,
        embeddings_initializer=initializers.RandomNormal(stddev=0.02),
        name="token_embedding",
    )(tokens)
    x = Positions(0.01, name="positions")(x)
    deviations = _deviations(width, depth)
    for index in range(1, depth + 1):
        x = block(x, heads, deviations, f"block{index}", causal=True)
    # Normalisation acts on each token by itself: one token is enough.
    x = EndOfText(name="pool")(x, tokens)
    x = project(layer_norm("ln_final")(x), embedding_size)
    return keras.Model(tokens, x, name=name)


@keras.saving.register_keras_serializable(package="indistill_tf")
class EndOfText(layers.Layer):
    """Picks the vector at each text's largest token id, the end of text.

    Call arguments:
        x: tensor `[N, T, C]`.
        tokens: int tensor `[N, T]`, the texts' token ids; the output is
            `[N, C]`.
    """

    def call(self, x, tokens):
        position = ops.argmax(tokens, axis=-1)
        return ops.take_along_axis(x, position[:, None, None], axis=1)[:, 0]

    def compute_output_shape(self, x_shape, tokens_shape):
        return (x_shape[0], x_shape[2])


def _deviations(width, depth):
    residual = (2 * depth) ** -0.5
    return Deviations(
        attention=width**-0.5,
        output=width**-0.5 * residual,
        mlp_1=(2 * width) ** -0.5,
        mlp_2=width**-0.5 * residual,
    )
