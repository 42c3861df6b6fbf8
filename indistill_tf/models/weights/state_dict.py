"""Weights to and from PyTorch's `state_dict`."""

import re
from collections.abc import Mapping

import keras
import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.models.weights import fitting
from indistill_tf.models.weights.state_dict_family import Parameter
from indistill_tf.models.weights.state_dict_layouts import tensors
from indistill_tf.models.weights.state_dict_names import families
from indistill_tf.models.weights.state_dict_tensor import Tensor

# What wrappers put before every name: data parallelism, compilation.
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")

_ENDINGS = (".weight", ".running_mean", ".running_var")


def is_state_dict(names):
    """Returns whether names are PyTorch's, such as `conv1.weight`.

    Args:
        names: iterable of strings.
    """
    return any(name.endswith(_ENDINGS) for name in names)


def from_state_dict(
    model: keras.Model,
    arrays: Mapping[str, np.ndarray],
    source: str = "The state_dict",
) -> None:
    """Gives a model the weights of a PyTorch `state_dict`.

    The names may be those of any family that knows the model's layers (see
    `indistill_tf.models.state_dict_names.FAMILIES`): the one that fits counts.
    A leading `module.` is dropped and `num_batches_tracked` ignored.
    Convolutions, dense layers, also behind a flatten, and batch normalisation
    are brought into Keras' layouts, numbers into the variables' types; so are
    the layers of transformers. A file of both towers of CLIP is read into
    either, the other's names are ignored.

    Args:
        model: built `keras.Model`.
        arrays: dict from PyTorch's names to arrays, convolutions
            `[outputs, inputs, H, W]`.
        source: string, what an error calls the arrays. Defaults to
            `"The state_dict"`.

    Returns:
        The model.

    Raises:
        UserError: if names, shapes or types do not fit; the message lists the
            differences to the closest family and the model is unchanged.
    """
    arrays = _cleaned(arrays, source)
    attempts = []
    for family in families(model):
        expected = _expected(model, family)
        shapes = {name: t.shape() for name, t in expected.items()}
        ours = {
            name: array
            for name, array in arrays.items()
            if name in shapes or not re.fullmatch(family.others, name)
        }
        problems = fitting.differences(shapes, ours)
        attempts.append((problems, family, expected))
    problems, family, expected = min(attempts, key=lambda item: len(item[0]))
    if problems:
        naming = f" by the names of {family.name!r}"
        fitting.refuse(source, model, problems, naming)
    variables, values = [], []
    for name, tensor in expected.items():
        variables += tensor.variables
        values += tensor.values(arrays[name])
    fitting.assign(variables, values)
    return model


def to_state_dict(
    model: keras.Model, family: str | None = None
) -> dict[str, np.ndarray]:
    """Returns a model's weights as a PyTorch `state_dict`.

    The inverse of `from_state_dict`, bit for bit.

    Args:
        model: built `keras.Model`.
        family: string, whose names to use: one of `"kuangliu"`,
            `"torchvision"`, `"wide_resnet"`, `"vgg"`, `"mobilenet"`,
            `"indistill"`, `"clip_image"`, `"clip_resnet"`, `"clip_text"`,
            `"layers"`. Defaults to the usual one of the network; for networks
            of no paper, `"layers"`: the layers' names.

    Returns:
        Dict from PyTorch's names to arrays; bfloat16 becomes float32.

    Raises:
        UserError: if a layer has no PyTorch layout, or the family does not
            know the model's layers.

    Example:

    ```python
    weights = indistill_tf.models.to_state_dict(student)
    # In PyTorch:
    tensors = {name: torch.from_numpy(w) for name, w in weights.items()}
    network.load_state_dict(tensors)
    ```
    """
    known = {item.name: item for item in families(model)}
    if family is None:
        chosen = next(i for i in known.values() if i.usual_for(model))
    elif family in known:
        chosen = known[family]
    else:
        kind = f"family of names for model {model.name!r}"
        raise unknown_name(kind, family, known)
    expected = _expected(model, chosen)
    return {name: tensor.value() for name, tensor in expected.items()}


def _expected(model, family):
    expected = {}
    for layer in model.layers:
        name = family.torch_name(layer.name) if layer.weights else None
        if isinstance(name, Parameter):
            expected[str(name)] = Tensor(name, tuple(layer.weights))
        elif name:
            for tensor in tensors(layer):
                expected[f"{name}.{tensor.suffix}"] = tensor
    return expected


def _cleaned(arrays, source):
    cleaned = {}
    for name, array in arrays.items():
        name = _WRAPPERS.sub("", name)
        if name.endswith("num_batches_tracked"):
            continue
        if name in cleaned:
            raise UserError(
                f"{source} has {name} twice, with a wrapper's prefix and "
                "without. Save the state_dict of one network."
            )
        cleaned[name] = np.asarray(array)
    return cleaned
