"""Compressions of a trained network that a hop can train."""

import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Sequence

import keras

from indistill_tf import deploy
from indistill_tf.errors import unknown_name


def _no_callbacks(clone):
    del clone
    return []


@dataclasses.dataclass(frozen=True)
class Compression:
    """How a network is compressed while it is trained.

    Attributes:
        clone: function from a `keras.Model` to one that `deploy.strip` strips.
        callbacks: function from the clone to a list of
            `keras.callbacks.Callback` for its `fit`.
    """

    clone: Callable[[keras.Model], keras.Model]
    callbacks: Callable[[keras.Model], Sequence] = _no_callbacks


def _pruned(sparsity):
    def callbacks(clone):
        return [deploy.PruningCallback(clone, sparsity)]

    return Compression(deploy.sparse, callbacks)


COMPRESSIONS = {
    "int8": Compression(functools.partial(deploy.quantized, weight_bits=8)),
    "int4": Compression(functools.partial(deploy.quantized, weight_bits=4)),
    "sparse_50": _pruned(0.5),
    "sparse_75": _pruned(0.75),
    "sparse_2_4": _pruned("2:4"),
    "clusters_16": Compression(
        functools.partial(deploy.clustered, clusters=16)
    ),
}


def get(name: str) -> Compression:
    """Returns a compression by its name.

    Args:
        name: a key of `COMPRESSIONS`.

    Raises:
        UserError: if there is none of this name.
    """
    if name not in COMPRESSIONS:
        raise unknown_name("compression", name, COMPRESSIONS)
    return COMPRESSIONS[name]
