"""All that is used of tensorflow-model-optimization (tfmot).

Its import would turn `tf.keras` into Keras 2 for the process, and for the
processes that this one starts. Here it does neither. Of tfmot 0.8.1 two
private modules are used, on the variables of Keras 3.
"""

import functools
import importlib
import os
from collections.abc import Sequence
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

from indistill_tf.errors import UserError

_LEGACY = "TF_USE_LEGACY_KERAS"
_CORE = "tensorflow_model_optimization.python.core"


class Pruner:
    """Chooses the values of kernels that stay, in steps of a training.

    The sparsity rises by a polynomial of third degree. Of four neighbours
    along the input channels, two are chosen once, in step 1.

    Args:
        kernels: sequence of `keras.Variable`.
        masks: sequence of `keras.Variable` of their shapes, ones at first.
        sparsity: float from 0 to below 1, the part that becomes zero, or
            `"2:4"`.
        last_step: int above 1, the step that reaches the sparsity.

    References:
        - [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878), eq. 1
    """

    def __init__(
        self,
        kernels: Sequence[keras.Variable],
        masks: Sequence[keras.Variable],
        sparsity: float | str,
        last_step: int,
    ) -> None:
        structured = sparsity == "2:4"
        schedule = _module("sparsity.keras.pruning_schedule").PolynomialDecay(
            initial_sparsity=0.0,
            final_sparsity=0.5 if structured else sparsity,
            begin_step=1,
            end_step=last_step,
            frequency=1,
        )
        self._last_step = last_step
        self._pruning = _module("sparsity.keras.pruning_impl").Pruning(
            lambda: self._step,
            [
                (kernel.value, mask.value, tf.Variable(0.0))
                for kernel, mask in zip(kernels, masks, strict=True)
            ],
            schedule,
            block_size=(1, 1),
            block_pooling_type="AVG",
            sparsity_m_by_n=(2, 4) if structured else None,
        )

    def update(self, step: int) -> None:
        """Sets masks, and kernels to zero where these are.

        Args:
            step: int, counted from 1.
        """
        # Steps may be left out: the last one counts on.
        self._step = tf.constant(min(step, self._last_step))
        self._pruning.conditional_mask_update()
        self._pruning.weight_mask_op()


def centroids(kernel: np.ndarray, clusters: int) -> np.ndarray:
    """Returns values that stand for those of a kernel, by k-means++.

    Args:
        kernel: array.
        clusters: int, at most the number of different values.

    Returns:
        Array `[clusters]`, ascending.

    References:
        - [Arthur and Vassilvitskii, 2007](
          https://dl.acm.org/doi/10.5555/1283383.1283494), sec. 2.2
    """
    module = _module("clustering.keras.clustering_centroids")
    choice = module.KmeansPlusPlusCentroidsInitialisation(
        tf.convert_to_tensor(kernel), clusters
    )
    return np.sort(choice.get_cluster_centroids().numpy())


@functools.cache
def _module(name: str) -> ModuleType:
    # Once asked for, `tf.keras` stays what it is: Keras 3.
    getattr(tf, "keras").layers  # noqa: B009, B018
    before = os.environ.get(_LEGACY)
    try:
        return importlib.import_module(f"{_CORE}.{name}")
    except ImportError as error:
        raise UserError(
            "Sparse and clustered kernels need tensorflow-model-optimization "
            f"({error}). Install `indistill_tf[quantization]`."
        ) from error
    finally:
        os.environ.pop(_LEGACY, None)
        if before is not None:
            os.environ[_LEGACY] = before
