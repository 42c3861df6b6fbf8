"""DIST: class probabilities are matched up to an affine map.

Pearson's correlation of the softened probabilities, between the classes of a
sample (inter) and between the samples of a class (intra).
"""

from typing import Any

import keras
from keras import ops

from indistill_tf.hints import Tensor
from indistill_tf.losses.base import LogitsLoss
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import safe_norm

# Added to the product of two norms, as in the authors' code, and not to each
# norm: for confident networks it decides the intra-class term.
_EPSILON = 1e-8


def pearson_inter(
    teacher_logits: Tensor, student_logits: Tensor, temperature: float = 1.0
) -> Tensor:
    """Correlation between the class probabilities of each sample.

    `T**2 * (1 - mean_n rho(p_s[n, :], p_t[n, :]))` with `p = softmax(z / T)`
    and `rho(a, b) = <a', b'> / (|a'| |b'| + 1e-8)` of the centred `a'`, `b'`.
    Each correlation lies in -1..1, so the value lies in 0..2 times `T**2`.

    Args:
        teacher_logits: tensor `[N, C]`.
        student_logits: tensor `[N, C]`.
        temperature: float, `T`. Defaults to 1.

    Returns:
        Scalar tensor.

    References:
        - [Huang et al., 2022](https://arxiv.org/abs/2205.10536), inter-class
          relation
    """
    return _pearson(teacher_logits, student_logits, temperature, axis=1)


def pearson_intra(
    teacher_logits: Tensor, student_logits: Tensor, temperature: float = 1.0
) -> Tensor:
    """Correlation between the samples' probabilities of each class.

    `T**2 * (1 - mean_c rho(p_s[:, c], p_t[:, c]))`, in the notation of
    `pearson_inter`. A class that is as good as absent from the batch has
    centred norms near 1e-6 and counts as uncorrelated, even where student and
    teacher agree. A batch of one sample gives `T**2`.

    Args:
        teacher_logits: tensor `[N, C]`.
        student_logits: tensor `[N, C]`.
        temperature: float, `T`. Defaults to 1.

    Returns:
        Scalar tensor.

    References:
        - [Huang et al., 2022](https://arxiv.org/abs/2205.10536), intra-class
          relation
    """
    return _pearson(teacher_logits, student_logits, temperature, axis=0)


def _pearson(teacher_logits, student_logits, temperature, axis):
    teacher_logits, student_logits = at_least_float32(
        teacher_logits, student_logits
    )
    correlation = _correlation(
        ops.softmax(teacher_logits / temperature, axis=-1),
        ops.softmax(student_logits / temperature, axis=-1),
        axis,
    )
    return temperature**2 * (1 - ops.mean(correlation))


def _correlation(teacher, student, axis):
    teacher = teacher - ops.mean(teacher, axis=axis, keepdims=True)
    student = student - ops.mean(student, axis=axis, keepdims=True)
    norms = safe_norm(teacher, axis=axis) * safe_norm(student, axis=axis)
    return ops.sum(teacher * student, axis=axis) / (norms + _EPSILON)


@keras.saving.register_keras_serializable(package="indistill_tf")
class Pearson(LogitsLoss):
    """The weighted sum of `pearson_inter` and `pearson_intra`.

    The authors add twice the sum of the two to the cross-entropy. Their factor
    is part of the weights here, so the loss has weight 1 next to a
    cross-entropy of weight 1. They use temperature 1 on ImageNet and 4 on
    CIFAR-100.

    Args:
        temperature: float above 0, `T`. Defaults to 1.
        inter_weight: float, weight of the inter-class term. Defaults to 2.
        intra_weight: float, weight of the intra-class term. Defaults to 2.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's logits, `[N, C]`.
        student: the student's logits, `[N, C]`.

    Raises:
        UserError: if `temperature` is not positive.

    References:
        - [Huang et al., 2022](https://arxiv.org/abs/2205.10536)
    """

    relational = True

    def __init__(
        self,
        temperature: float = 1.0,
        inter_weight: float = 2.0,
        intra_weight: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, **kwargs)
        self.inter_weight = inter_weight
        self.intra_weight = intra_weight

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        inter = pearson_inter(teacher, student, self.temperature)
        intra = pearson_intra(teacher, student, self.temperature)
        return self.inter_weight * inter + self.intra_weight * intra

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "inter_weight": self.inter_weight,
            "intra_weight": self.intra_weight,
        }
