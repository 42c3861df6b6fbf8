"""From a network to a tower: embeddings of a chosen width, no classifier."""

import keras
from keras import layers

from indistill_tf.graph import endpoints


def tower(
    network: keras.Model,
    embedding_size: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns the part of a network that computes its embedding.

    Args:
        network: functional `keras.Model`, of images or of token ids, with the
            endpoint `embedding`. The tower shares its layers.
        embedding_size: int, D: a bias-free dense layer `decoder` of this
            width follows, which stays at inference. Defaults to None: the
            embedding is as wide as the network has it.
        name: string, the tower's name. Defaults to the network's.

    Returns:
        Functional `keras.Model` to float32 embeddings `[N, D]`.

    Raises:
        UserError: if the network has no embedding.
    """
    network = endpoints.flattened(network)
    embedding = endpoints.endpoint(network, "embedding")
    if embedding_size is not None:
        # Normal of variance 1 / width, as CLIP's own projection.
        embedding = layers.Dense(
            embedding_size,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(
                1.0, "fan_in", "untruncated_normal"
            ),
            dtype="float32",
            name="decoder",
        )(embedding)
    return keras.Model(network.inputs[0], embedding, name=name or network.name)
