"""Sparse kernels: the values of least magnitude become zero in training."""

import keras
from keras import layers

from indistill_tf.deploy import tfmot
from indistill_tf.deploy.compressed import ProjectedKernel
from indistill_tf.deploy.compressed import compressed
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

STRUCTURED = "2:4"


class SparseKernel(ProjectedKernel):
    """Mixin for a layer of whose kernel some values stay zero.

    Its `choice` is the mask: ones where values stay.
    """

    choice_initializer = "ones"

    def project(self, kernel: Tensor) -> Tensor:
        return kernel * self.choice


@keras.saving.register_keras_serializable(package="indistill_tf")
class SparseConv2D(SparseKernel, layers.Conv2D):
    """`Conv2D` with a sparse kernel, see `SparseKernel`."""


@keras.saving.register_keras_serializable(package="indistill_tf")
class SparseDense(SparseKernel, layers.Dense):
    """`Dense` with a sparse kernel, see `SparseKernel`."""


_KINDS = {layers.Conv2D: SparseConv2D, layers.Dense: SparseDense}


def sparse(model: keras.Model) -> keras.Model:
    """Returns a clone whose kernels can become sparse.

    Nothing is zero yet: a `PruningCallback` makes the kernels of `Conv2D` and
    `Dense` sparse while the clone is trained. `strip` it then.

    Args:
        model: functional or built `Sequential` `keras.Model`, trained.

    Returns:
        Functional `keras.Model` whose layers have the names of the model's.

    Raises:
        UserError: if no layer can become sparse, or one cannot be cloned.
    """
    return compressed(model, _KINDS)


class PruningCallback(keras.callbacks.Callback):
    """Makes the kernels of a `sparse` network sparse in `fit`.

    In each layer the values of least magnitude become zero. Their part rises
    from nothing in the first step to `sparsity` in the middle of the training.
    Of `"2:4"`, in each group of four neighbours along the input channels the
    lesser two become zero in the first step. Zeros stay zeros.

    What it does in a step depends on the number of the step and the weights,
    so a resumed training ends as an undisturbed one.

    Args:
        model: `keras.Model` that `sparse` returned.
        sparsity: float from 0 to below 1, or `"2:4"`.

    Raises:
        UserError: if the sparsity is something else, or `fit` does not know
            the steps of an epoch.

    References:
        - [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878), sec. 3
        - [Mishra et al., 2021](https://arxiv.org/abs/2104.08378), sec. 3 and 4
    """

    def __init__(self, model: keras.Model, sparsity: float | str) -> None:
        super().__init__()
        if sparsity != STRUCTURED and not (
            isinstance(sparsity, float) and 0 <= sparsity < 1
        ):
            raise UserError(
                "`sparsity` is a part from 0 to below 1, such as 0.75, or "
                f"'2:4'. Received: sparsity={sparsity!r}"
            )
        self._sparse_layers = [
            layer for layer in model.layers if isinstance(layer, SparseKernel)
        ]
        self._sparsity = sparsity

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self.params["steps"] is None:
            raise UserError(
                "The sparsity rises up to the middle of the training, which "
                "needs the steps of an epoch. Give `fit` `steps_per_epoch`."
            )
        half = self.params["epochs"] * self.params["steps"] // 2
        self._pruner = tfmot.Pruner(
            [layer.kernel for layer in self._sparse_layers],
            [layer.choice for layer in self._sparse_layers],
            self._sparsity,
            last_step=1 + max(half, 1),
        )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._before = epoch * self.params["steps"]

    def on_train_batch_begin(
        self, batch: int, logs: dict | None = None
    ) -> None:
        self._pruner.update(self._before + batch + 1)
