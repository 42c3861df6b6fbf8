"""InDistill's loss for intermediate layers: the maps themselves are matched."""

import keras
from keras import ops

from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import at_least_float32


def feature_mse(teacher_map: Tensor, student_map: Tensor) -> Tensor:
    """Mean squared difference of two feature maps of one shape.

    InDistill eq. 1. The paper writes a squared norm; its code averages over
    all elements, as here, so that the value does not grow with the map.

    Args:
        teacher_map: tensor `[N, H, W, C]`, already pruned to the student's
            width.
        student_map: tensor `[N, H, W, C]`.

    Returns:
        Scalar tensor.

    Example:

    >>> float(feature_mse([[[[1.0, 2.0]]]], [[[[1.0, 4.0]]]]))
    2.0

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), eq. 1
    """
    teacher_map, student_map = at_least_float32(teacher_map, student_map)
    return ops.mean(ops.square(teacher_map - student_map))


@keras.saving.register_keras_serializable(package="indistill_tf")
class FeatureMSE(DistillationLoss):
    """The layer form of `feature_mse`.

    Args:
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's pruned map, `[N, H, W, C]`.
        student: the student's map, `[N, H, W, C]`.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), eq. 1
    """

    endpoint = "tap"

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return feature_mse(teacher, student)
