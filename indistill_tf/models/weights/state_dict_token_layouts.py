"""How PyTorch lays out the weights of the layers of transformers."""

import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.models.weights.state_dict_tensor import Tensor


def embedding(layer):
    """Lists the tensor of an embedding.

    Args:
        layer: built `keras.layers.Embedding`.

    Returns:
        List of `Tensor`.
    """
    return [Tensor("weight", (layer.embeddings,))]


def attention(layer):
    """Lists the tensors of `torch.nn.MultiheadAttention`.

    Args:
        layer: built `keras.layers.MultiHeadAttention`.

    Returns:
        List of `Tensor`.

    Raises:
        UserError: if PyTorch's layer cannot hold the variables.
    """
    _check_attention(layer)
    # torch: query, key and value below each other, [3 width, width]; the
    # channels of a head are neighbours. Ours: [width, heads, size] each.
    inward = layer.query_dense, layer.key_dense, layer.value_dense
    outward = layer.output_dense
    heads, size, width = outward.kernel.shape

    def pack(*kernels):
        return np.concatenate([k.reshape(width, -1).T for k in kernels])

    def unpack(weight):
        return [w.T.reshape(width, heads, size) for w in np.split(weight, 3)]

    tensors = [
        Tensor("in_proj_weight", _each("kernel", inward), pack, unpack),
        Tensor(
            "out_proj.weight",
            (outward.kernel,),
            lambda kernel: kernel.reshape(-1, width).T,
            lambda weight: weight.T.reshape(heads, size, width),
        ),
    ]
    if outward.bias is not None:
        tensors += [
            Tensor(
                "in_proj_bias",
                _each("bias", inward),
                lambda *biases: np.concatenate([b.ravel() for b in biases]),
                lambda bias: bias.reshape(3, heads, size),
            ),
            Tensor("out_proj.bias", (outward.bias,)),
        ]
    return tensors


def _each(name, parts):
    return tuple(getattr(part, name) for part in parts)


def _check_attention(layer):
    inward = layer.query_dense, layer.key_dense, layer.value_dense
    heads, size, width = layer.output_dense.kernel.shape
    # What is left over, a gate's variables, would be saved nowhere.
    parts = len(layer.weights) // (2 if layer.use_bias else 1)
    if (
        parts != 4
        or heads * size != width
        or any(part.kernel.shape != (width, heads, size) for part in inward)
    ):
        raise UserError(
            f"Attention layer {layer.name!r} has no PyTorch layout: query, "
            "key, value and output must be of one width, the heads together "
            "as wide, and there must be no gate."
        )


def by_their_names(layer):
    """Lists the variables of one of our layers as they are.

    Args:
        layer: built `keras.layers.Layer`.

    Returns:
        List of `Tensor`.
    """
    return [Tensor(variable.name, (variable,)) for variable in layer.weights]
