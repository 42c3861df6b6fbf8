"""NormKD: each sample's temperature follows the spread of its logits."""

from typing import Any

import keras
from keras import ops

from indistill_tf.hints import Tensor
from indistill_tf.losses.base import LogitsLoss
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import safe_norm
from indistill_tf.losses.numerics import softmax_divergence

_CONSTANT_SPREAD = 1e-6


def normalized_kl(
    teacher_logits: Tensor, student_logits: Tensor, temperature: float = 2.0
) -> Tensor:
    """Kullback-Leibler divergence of logits divided by their own spread.

    `mean_n (s_t T)**2 KL(softmax(z_t / (s_t T)) | softmax(z_s / (s_s T)))`,
    where `s` is the unbiased standard deviation of a sample's logits over the
    classes. The student's scale and offset do not matter: the loss neither
    rewards nor punishes its confidence.

    Args:
        teacher_logits: tensor `[N, C]`, C at least 2.
        student_logits: tensor `[N, C]`.
        temperature: float, `T`, in units of the standard deviation. Defaults
            to 2.

    Returns:
        Scalar tensor, in nats. Logits that are equal up to rounding count as
        equal probabilities, and pass no gradient on.

    References:
        - [Chi et al., 2023](https://arxiv.org/abs/2308.00520)
    """
    teacher_logits, student_logits = at_least_float32(
        teacher_logits, student_logits
    )
    teacher, teacher_deviation = _standardize(teacher_logits)
    student, _ = _standardize(student_logits)
    divergence = softmax_divergence(
        teacher / temperature, student / temperature
    )
    weight = ops.square(ops.squeeze(teacher_deviation, -1) * temperature)
    return ops.mean(weight * divergence)


def _standardize(logits):
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    # Unbiased, unlike `ops.std`: it enters squared as the sample's weight.
    deviation = (
        safe_norm(centred, keepdims=True) / (logits.shape[-1] - 1) ** 0.5
    )
    # Equal logits are seldom centred to exact zeros; scaled up, what rounding
    # leaves would become the target.
    largest = ops.max(ops.abs(logits), axis=-1, keepdims=True)
    is_constant = deviation <= _CONSTANT_SPREAD * largest
    divisor = ops.where(is_constant, ops.ones_like(deviation), deviation)
    standardized = ops.where(
        is_constant, ops.zeros_like(logits), centred / divisor
    )
    return standardized, deviation


@keras.saving.register_keras_serializable(package="indistill_tf")
class NormalizedKL(LogitsLoss):
    """The layer form of `normalized_kl`.

    The authors weigh it 0.9 against a cross-entropy of 0.1 with temperature 2
    on CIFAR, and 0.5 against 0.5 with temperature 1 on ImageNet.

    Args:
        temperature: float above 0, in units of the standard deviation.
            Defaults to 2.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's logits, `[N, C]`.
        student: the student's logits, `[N, C]`.

    Raises:
        UserError: if `temperature` is not positive.

    References:
        - [Chi et al., 2023](https://arxiv.org/abs/2308.00520)
    """

    def __init__(self, temperature: float = 2.0, **kwargs: Any) -> None:
        super().__init__(temperature, **kwargs)

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return normalized_kl(teacher, student, self.temperature)
