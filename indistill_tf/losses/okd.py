"""OKD, the original knowledge distillation of Hinton, Vinyals and Dean.

InDistill (information-flow version) eq. 2-4 states the same loss.
"""

from typing import Any

import keras
from keras import ops

from indistill_tf.hints import Tensor
from indistill_tf.losses.base import SigmoidOrSoftmax
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import sigmoid_divergence
from indistill_tf.losses.numerics import softmax_divergence


def softened_kl(
    teacher_logits: Tensor,
    student_logits: Tensor,
    temperature: float = 4.0,
    sigmoid: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of softened class probabilities.

    `T**2 * mean_n sum_c p_t (log p_t - log p_s)` with `p = softmax(z / T)`.
    It is zero, with a zero gradient, when each row of the student's logits
    equals the teacher's up to a constant.

    With `sigmoid` each logit is of a probability of its own,
    `p = sigmoid(z / T)`, and the divergence is that of p and 1 - p, its mean
    over the logits: of a single one the same as of two classes.

    Args:
        teacher_logits: tensor `[N, C]`.
        student_logits: tensor `[N, C]`.
        temperature: float, `T`. Defaults to 4.
        sigmoid: bool, as above. Defaults to False.

    Returns:
        Scalar tensor, in nats.

    Example:

    >>> teacher = [[4.0, 0.0]]
    >>> float(softened_kl(teacher, student_logits=[[5.0, 1.0]]))
    0.0
    >>> float(softened_kl(teacher, student_logits=[[0.0, 4.0]])) > 1
    True

    References:
        - [Hinton et al., 2015](https://arxiv.org/abs/1503.02531)
    """
    teacher_logits, student_logits = at_least_float32(
        teacher_logits, student_logits
    )
    divergence = sigmoid_divergence if sigmoid else softmax_divergence
    divergence = divergence(
        teacher_logits / temperature, student_logits / temperature
    )
    return temperature**2 * ops.mean(divergence)


@keras.saving.register_keras_serializable(package="indistill_tf")
class SoftenedKL(SigmoidOrSoftmax):
    """The layer form of `softened_kl`.

    Args:
        temperature: float above 0, `T`. Defaults to 4.
        sigmoid: bool, see `softened_kl`. A `Distiller` chooses it by what the
            networks end in. Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's logits, `[N, C]`.
        student: the student's logits, `[N, C]`.

    Raises:
        UserError: if `temperature` is not positive.

    References:
        - [Hinton et al., 2015](https://arxiv.org/abs/1503.02531)
    """

    def __init__(
        self, temperature: float = 4.0, sigmoid: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(temperature, sigmoid, **kwargs)

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return softened_kl(teacher, student, self.temperature, self.sigmoid)
