"""PKT, probabilistic knowledge transfer, in its two published forms.

The networks' features are compared through the probability that a sample picks
another as its neighbour, so their widths may differ. Every value is a mean over
the N x N pairs of a batch: it falls like 1 / N, and one sample alone gives 0.
"""

import keras
from keras import ops

from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import safe_unit_rows

_KL_EPSILON = 1e-7
_JEFFREYS_EPSILON = 1e-6


def probabilistic_kl(teacher: Tensor, student: Tensor) -> Tensor:
    """The ECCV form of PKT: Kullback-Leibler under the cosine kernel.

    Rows of `(cos + 1) / 2` become probabilities, the diagonal included;
    `mean_ij P_t log((P_t + e) / (P_s + e))` with `e = 1e-7`.

    Args:
        teacher: tensor `[N, ...]`, flattened to `[N, D_t]`.
        student: tensor `[N, ...]`, flattened to `[N, D_s]`.

    Returns:
        Scalar tensor.

    References:
        - [Passalis and Tefas, 2018](https://arxiv.org/abs/1803.10837),
          the conditional probabilities under the cosine kernel
    """
    target = _row_probabilities(_cosine_kernel(teacher, _KL_EPSILON))
    estimate = _row_probabilities(_cosine_kernel(student, _KL_EPSILON))
    return ops.mean(
        target * ops.log((target + _KL_EPSILON) / (estimate + _KL_EPSILON))
    )


def probabilistic_jeffreys(teacher: Tensor, student: Tensor) -> Tensor:
    """The form of PKT-H-CR and InDistill: Jeffreys under two kernels.

    `mean_ij (P_t - P_s)(log P_t - log P_s)`, summed over the cosine kernel
    `(cos + 1) / 2` and the Student-t kernel `1 / (1 + distance)`. This is also
    the papers' information-flow measure L_MI.

    Args:
        teacher: tensor `[N, ...]`, flattened to `[N, D_t]`.
        student: tensor `[N, ...]`, flattened to `[N, D_s]`.

    Returns:
        Scalar tensor.

    References:
        - [Passalis et al., 2020](https://arxiv.org/abs/2005.00727),
          the hybrid of two kernels
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), sec. 4.4
    """
    cosine = _jeffreys(
        _cosine_kernel(teacher, _JEFFREYS_EPSILON),
        _cosine_kernel(student, _JEFFREYS_EPSILON),
    )
    student_t = _jeffreys(
        _student_t_kernel(teacher), _student_t_kernel(student)
    )
    return cosine + student_t


def _cosine_kernel(features, epsilon):
    (features,) = at_least_float32(features)
    unit = safe_unit_rows(flatten_samples(features), epsilon)
    return (ops.matmul(unit, ops.transpose(unit)) + 1) / 2


def _student_t_kernel(features):
    (features,) = at_least_float32(features)
    features = flatten_samples(features)
    products = ops.matmul(features, ops.transpose(features))
    squared = ops.sum(ops.square(features), axis=-1)
    distance = squared[:, None] + squared[None, :] - 2 * products
    # Rounding leaves 1e-6 to 1e-3 on the diagonal, more than the epsilon
    # below; unmasked it moves the loss by up to two percent.
    off_diagonal = 1 - ops.eye(ops.shape(features)[0], dtype=distance.dtype)
    distance = ops.maximum(distance * off_diagonal, 0)
    return 1 / (1 + ops.sqrt(distance + _JEFFREYS_EPSILON))


def _row_probabilities(kernel):
    return kernel / ops.sum(kernel, axis=-1, keepdims=True)


def _jeffreys(teacher_kernel, student_kernel):
    target = _row_probabilities(teacher_kernel)
    estimate = _row_probabilities(student_kernel)
    # The published code has no floor: two exactly opposite features (kernel 0)
    # make it infinite. The floor is below every probability met in practice.
    floor = 1e-12
    log_ratio = ops.log(ops.maximum(target, floor)) - ops.log(
        ops.maximum(estimate, floor)
    )
    return ops.mean((target - estimate) * log_ratio)


@keras.saving.register_keras_serializable(package="indistill_tf")
class ProbabilisticKL(DistillationLoss):
    """The layer form of `probabilistic_kl`.

    Args:
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's embedding, `[N, D_t]`.
        student: the student's embedding, `[N, D_s]`; widths may differ.

    References:
        - [Passalis and Tefas, 2018](https://arxiv.org/abs/1803.10837)
    """

    endpoint = "embedding"
    relational = True

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return probabilistic_kl(teacher, student)


@keras.saving.register_keras_serializable(package="indistill_tf")
class ProbabilisticJeffreys(DistillationLoss):
    """The layer form of `probabilistic_jeffreys`.

    Args:
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's embedding, `[N, D_t]`.
        student: the student's embedding, `[N, D_s]`; widths may differ.

    References:
        - [Passalis et al., 2020](https://arxiv.org/abs/2005.00727)
    """

    endpoint = "embedding"
    relational = True

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return probabilistic_jeffreys(teacher, student)
