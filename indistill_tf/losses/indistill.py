"""InDistill's loss for intermediate layers: the maps themselves are matched."""

from typing import Any

import keras
from keras import ops

from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import at_least_float32

# Of the mean variance of a map's channels: no channel counts as less varied, so
# that one which is nearly constant does not outweigh all others.
_LEAST_VARIANCE = 0.01


def feature_mse(
    teacher_map: Tensor, student_map: Tensor, normalize: bool = False
) -> Tensor:
    """Mean squared difference of two feature maps of one shape.

    InDistill eq. 1. The paper writes a squared norm; its code averages over
    all elements, as here, so that the value does not grow with the map.

    Args:
        teacher_map: tensor `[N, H, W, C]`, already pruned to the student's
            width.
        student_map: tensor `[N, H, W, C]`.
        normalize: bool, whether each channel's differences are divided by the
            variance of the teacher's channel over the batch, though by no less
            than a hundredth of the mean variance of the channels. Defaults to
            False, as in the paper.

    Returns:
        Scalar tensor.

    Example:

    >>> float(feature_mse([[[[1.0, 2.0]]]], [[[[1.0, 4.0]]]]))
    2.0

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), eq. 1
    """
    teacher_map, student_map = at_least_float32(teacher_map, student_map)
    squares = ops.square(teacher_map - student_map)
    if not normalize:
        return ops.mean(squares)
    places = tuple(range(len(teacher_map.shape) - 1))
    variances = ops.var(teacher_map, axis=places)
    least = _LEAST_VARIANCE * ops.mean(variances) + keras.config.epsilon()
    return ops.mean(squares / ops.maximum(variances, least))


@keras.saving.register_keras_serializable(package="indistill_tf")
class FeatureMSE(DistillationLoss):
    """The layer form of `feature_mse`.

    Args:
        normalize: bool, see `feature_mse`. Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's pruned map, `[N, H, W, C]`.
        student: the student's map, `[N, H, W, C]`.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), eq. 1
    """

    endpoint = "tap"

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize
        # Variances are those of the whole batch, on any number of replicas.
        self.relational = normalize

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return feature_mse(teacher, student, self.normalize)

    def get_config(self) -> dict:
        return {**super().get_config(), "normalize": self.normalize}
