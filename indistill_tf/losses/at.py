"""AT, attention transfer: where a layer looks, not what it sees there."""

from typing import Any

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import floored_unit_rows
from indistill_tf.losses.numerics import pool_to_smaller
from indistill_tf.losses.numerics import safe_sqrt


def attention_transfer(
    teacher_map: Tensor,
    student_map: Tensor,
    power: float = 2,
    squared: bool = True,
) -> Tensor:
    """Distance of two layers' normalised attention maps, one tap.

    The attention at a pixel is `mean_c |F|**power`; a sample's attention map is
    divided by its Euclidean norm. Channels may differ in number; the map of
    the larger layer is average-pooled first. The value does not change with
    the scale, the sign or the order of a network's channels.

    Args:
        teacher_map: tensor `[N, H, W, C]`.
        student_map: tensor `[N, H', W', C']`.
        power: float of at least 1. Defaults to 2.
        squared: bool. True is the authors' code, the mean over samples and
            pixels of the squared difference, which falls like
            `1 / (H * W)`: at most `2 / (H * W)` for `power=2`. False is the
            paper's equation, the mean over samples of the un-squared norm of
            the difference. Defaults to True.

    Returns:
        Scalar tensor.

    Raises:
        UserError: if the sizes of the maps differ and are not known.

    References:
        - [Zagoruyko and Komodakis, 2017](https://arxiv.org/abs/1612.03928),
          activation-based attention transfer
    """
    teacher_map, student_map = pool_to_smaller(
        ops.convert_to_tensor(teacher_map), ops.convert_to_tensor(student_map)
    )
    difference = _attention(teacher_map, power) - _attention(student_map, power)
    if squared:
        return ops.mean(ops.square(difference))
    return ops.mean(safe_sqrt(ops.sum(ops.square(difference), axis=-1)))


def _attention(maps, power):
    energy = ops.mean(ops.power(ops.abs(maps), power), axis=-1)
    return floored_unit_rows(flatten_samples(energy))


@keras.saving.register_keras_serializable(package="indistill_tf")
class AttentionTransfer(DistillationLoss):
    """The layer form of `attention_transfer`.

    Args:
        power: float of at least 1, the exponent of the attention. Defaults
            to 2.
        squared: bool, the form of the authors' code (True) or of the paper.
            Defaults to True.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's map, `[N, H, W, C]`.
        student: the student's map, `[N, H', W', C']`.

    Raises:
        UserError: if `power` is below 1.

    References:
        - [Zagoruyko and Komodakis, 2017](https://arxiv.org/abs/1612.03928)
    """

    endpoint = "tap"

    def __init__(
        self, power: float = 2, squared: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if power < 1:
            raise UserError(
                "`power` must be at least 1: below, the gradient at a dead "
                f"unit is infinite. Received: power={power}"
            )
        self.power = power
        self.squared = squared

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return attention_transfer(teacher, student, self.power, self.squared)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "power": self.power,
            "squared": self.squared,
        }
