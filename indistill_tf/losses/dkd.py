"""DKD: what a teacher says of the right class, and what of the others."""

from typing import Any

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import LogitsLoss
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import softmax_divergence

# Of what counts as impossible; its differences are finite.
_LOWEST = -1e9


def decoupled_kl(
    teacher_logits: Tensor,
    student_logits: Tensor,
    labels: Tensor,
    temperature: float = 4.0,
    target_weight: float = 1.0,
    other_weight: float = 8.0,
) -> Tensor:
    """The two parts of `softened_kl`, weighed apart.

    `T**2 * mean_n (alpha TCKD + beta NCKD)` with `p = softmax(z / T)`. TCKD is
    the divergence of the pair `(p_y, 1 - p_y)` of the right class y and of all
    others together; NCKD that of the distributions among the others. In
    `softened_kl` alpha is 1 and beta the teacher's `1 - p_y`, so that of an
    image that it is sure of it says nothing but the class.

    Args:
        teacher_logits: tensor `[N, C]`, C at least 2.
        student_logits: tensor `[N, C]`.
        labels: ints `[N]` or `[N, 1]`, the right classes, or `[N, C]`, of which
            the highest counts.
        temperature: float, `T`. Defaults to 4.
        target_weight: float, `alpha`. Defaults to 1.
        other_weight: float, `beta`. Defaults to 8.

    Returns:
        Scalar tensor, in nats.

    Example:

    The others are alike in both, and the right class has half of the
    probability, or a quarter: `0.5 log 2 + 0.5 log (2 / 3)`.

    >>> halved, quartered = [[2.0, 1.0, 1.0]], [[2.0, 3.0, 3.0]]
    >>> loss = decoupled_kl(ops.log(halved), ops.log(quartered), [0], 1.0)
    >>> round(float(loss), 4)
    0.1438

    References:
        - [Zhao et al., 2022](https://arxiv.org/abs/2203.08679), eq. 7
    """
    parts = [
        _parted(logits / temperature, labels)
        for logits in at_least_float32(teacher_logits, student_logits)
    ]
    target, others = (
        softmax_divergence(*both) for both in zip(*parts, strict=True)
    )
    return temperature**2 * ops.mean(
        target_weight * target + other_weight * others
    )


def _parted(logits, labels):
    """Returns logits of the pair (right class, all others), and of the others.

    Both are of a softmax: `[N, 2]`, and `[N, C]` with the right class at the
    lowest.
    """
    classes = logits.shape[-1]
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) == 2 and labels.shape[-1] == classes > 1:
        labels = ops.argmax(labels, axis=-1)
    right = ops.one_hot(
        ops.cast(ops.reshape(labels, (-1,)), "int32"), classes, dtype="bool"
    )
    others = ops.where(right, _LOWEST, logits)
    target = ops.max(ops.where(right, logits, _LOWEST), axis=-1)
    pair = ops.stack([target, ops.logsumexp(others, axis=-1)], axis=-1)
    return pair, others


@keras.saving.register_keras_serializable(package="indistill_tf")
class DecoupledKL(LogitsLoss):
    """The layer form of `decoupled_kl`.

    The authors add it to the cross-entropy, and let its weight rise through
    the first 20 of 240 epochs, which is not done here. It reads labels for
    retrieval too, where no cross-entropy does.

    Args:
        temperature: float above 0, `T`. Defaults to 4.
        target_weight: float, of what is said of the right class. Defaults to
            1.
        other_weight: float, of what is said of the others. Defaults to 8, the
            authors' for narrow pairs on CIFAR-100.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's logits, `[N, C]`.
        student: the student's logits, `[N, C]`.
        labels: the right classes, see `decoupled_kl`.

    Raises:
        UserError: if `temperature` is not positive, or `labels` are missing.

    References:
        - [Zhao et al., 2022](https://arxiv.org/abs/2203.08679)
    """

    needs = ("labels",)

    def __init__(
        self,
        temperature: float = 4.0,
        target_weight: float = 1.0,
        other_weight: float = 8.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, **kwargs)
        self.target_weight = target_weight
        self.other_weight = other_weight

    def call(
        self, teacher: Tensor, student: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        if labels is None:
            raise UserError(
                "DecoupledKL parts the right class from the others, and needs "
                "`labels`. Received: labels=None. The data must give (images, "
                "labels); `SoftenedKL` (method 'okd') needs none."
            )
        return decoupled_kl(
            teacher,
            student,
            labels,
            self.temperature,
            self.target_weight,
            self.other_weight,
        )

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "target_weight": self.target_weight,
            "other_weight": self.other_weight,
        }
