"""Clustered kernels: many weights, few values."""

import keras
import numpy as np
from keras import layers
from keras import ops

from indistill_tf.deploy import tfmot
from indistill_tf.deploy.compressed import ProjectedKernel
from indistill_tf.deploy.compressed import compressed
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor


class ClusteredKernel(ProjectedKernel):
    """Mixin for a layer whose kernel has few values.

    Its `choice` is the number of each weight's cluster. After each step all
    weights of a cluster have their mean.
    """

    choice_dtype = "int32"

    def project(self, kernel: Tensor) -> Tensor:
        weights, numbers = ops.ravel(kernel), ops.ravel(self.choice)
        # No cluster has a number that the kernel has no weight for.
        segments = weights.shape[0]
        sums = ops.segment_sum(weights, numbers, segments)
        counts = ops.segment_sum(ops.ones_like(weights), numbers, segments)
        means = sums / ops.maximum(counts, 1.0)
        return ops.reshape(ops.take(means, numbers), kernel.shape)

    def cluster(self, clusters: int) -> None:
        """Chooses the clusters, and gives the kernel their means.

        Args:
            clusters: int, the most there may be.
        """
        kernel = ops.convert_to_numpy(self.kernel)
        clusters = min(clusters, len(np.unique(kernel)))
        values = tfmot.centroids(kernel, clusters)
        distances = np.abs(kernel[..., np.newaxis] - values)
        self.choice.assign(np.argmin(distances, axis=-1).astype("int32"))
        self.kernel.assign(self.project(self.kernel))


@keras.saving.register_keras_serializable(package="indistill_tf")
class ClusteredConv2D(ClusteredKernel, layers.Conv2D):
    """`Conv2D` with a clustered kernel, see `ClusteredKernel`."""


@keras.saving.register_keras_serializable(package="indistill_tf")
class ClusteredDense(ClusteredKernel, layers.Dense):
    """`Dense` with a clustered kernel, see `ClusteredKernel`."""


_KINDS = {layers.Conv2D: ClusteredConv2D, layers.Dense: ClusteredDense}


def clustered(model: keras.Model, clusters: int = 16) -> keras.Model:
    """Returns a clone whose kernels have few values.

    The kernels of `Conv2D` and `Dense` are clustered by k-means++, each by
    itself. Which weights share a value stays; training moves the values.
    Train the clone and `strip` it.

    Args:
        model: functional or built `Sequential` `keras.Model`, trained.
        clusters: int above 1, the most values of a kernel. Defaults to 16.

    Returns:
        Functional `keras.Model` whose layers have the names of the model's.

    Raises:
        UserError: if there are fewer clusters than 2, no layer can be
            clustered, or one cannot be cloned.

    References:
        - [Han et al., 2015](https://arxiv.org/abs/1510.00149), sec. 3
    """
    if clusters < 2:
        raise UserError(
            f"`clusters` must be at least 2. Received: clusters={clusters}"
        )
    clone = compressed(model, _KINDS)
    for layer in clone.layers:
        if isinstance(layer, ClusteredKernel):
            layer.cluster(clusters)
    return clone
