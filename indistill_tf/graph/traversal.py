"""The symbolic tensors of a functional model, and what each was made from."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator

import keras
from keras import layers

from indistill_tf.hints import Tensor

_CONVOLUTIONS = (
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)

GLOBAL_POOLING = (
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
)


def operation(tensor: Tensor) -> keras.Operation:
    """Returns the layer or operation that makes a symbolic tensor.

    Args:
        tensor: `KerasTensor` of a functional model.
    """
    return tensor._keras_history.operation


def outputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns the symbolic output of each layer of a model, by name.

    Of a layer that the model calls several times it is the first call's.

    Args:
        model: functional `keras.Model`.
    """
    # Not `layer.output`: that fails once the layer was called a second time,
    # for example by a model that wraps this one.
    by_name = {}
    for tensor in walk(model.outputs):
        by_name.setdefault(operation(tensor).name, tensor)
    return by_name


def tensors(model: keras.Model) -> Iterator[keras.KerasTensor]:
    """Yields all symbolic tensors of a model, each behind what it reads.

    Args:
        model: functional `keras.Model`.
    """
    yield from walk(model.outputs)


def inputs(tensor: Tensor) -> list[keras.KerasTensor]:
    """Returns the tensors that a symbolic tensor was computed from.

    Args:
        tensor: `KerasTensor` of a functional model.
    """
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index].input_tensors


def is_pooled(tensor: Tensor, known: dict | None = None) -> bool:
    """Returns whether a tensor holds only what a global pooling has left.

    Args:
        tensor: `KerasTensor` of a functional model.
        known: dict that keeps the answers for one model from call to call.
            Defaults to None.
    """
    known = {} if known is None else known
    for item in walk([tensor], known):
        before = [known[id(other)] for other in inputs(item)]
        known[id(item)] = isinstance(operation(item), GLOBAL_POOLING) or (
            len(before) > 0 and all(before)
        )
    return known[id(tensor)]


def depth(tensor: Tensor, known: dict | None = None) -> int:
    """Counts the convolutions on the longest path from the model's input.

    Args:
        tensor: `KerasTensor` of a functional model.
        known: dict that keeps the counts of one model from call to call.
            Defaults to None.
    """
    known = {} if known is None else known
    for item in walk([tensor], known):
        before = max((known[id(other)] for other in inputs(item)), default=0)
        known[id(item)] = before + isinstance(operation(item), _CONVOLUTIONS)
    return known[id(tensor)]


def walk(
    tensors: Iterable[Tensor], known: Collection[int] = ()
) -> Iterator[keras.KerasTensor]:
    """Yields what some symbolic tensors follow from and these, in order.

    Args:
        tensors: `KerasTensor`s of a functional model.
        known: ids of tensors to leave out, with what these follow from.
            Defaults to `()`.
    """
    # A list, not recursion: networks may be deeper than Python's stack.
    pending, seen = list(reversed(tensors)), set(known)
    while pending:
        tensor = pending[-1]
        missing = [item for item in inputs(tensor) if id(item) not in seen]
        if missing:
            pending += reversed(missing)
            continue
        pending.pop()
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield tensor
