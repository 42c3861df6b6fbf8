"""Similarity distributions within a batch, compared by Kullback-Leibler.

CompRess and SEED compare, for each sample, how a network's similarity to other
samples is distributed over them. They keep those others in a queue of many
thousand; here they are the rest of the batch, as in PKT, and nothing is kept.
"""

from typing import Any
from typing import Self

import keras
from keras import ops

from indistill_tf.hints import Tensor
from indistill_tf.losses.base import Setting
from indistill_tf.losses.base import TemperatureLoss
from indistill_tf.losses.base import check_temperature
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import safe_unit_rows
from indistill_tf.losses.numerics import softmax_divergence
from indistill_tf.losses.okd import softened_kl

_EPSILON = 1e-7

# Its exponential is 0 beside that of any cosine, whatever the temperature.
_EXCLUDED = -1e9


def similarity_kl(
    teacher: Tensor,
    student: Tensor,
    temperature: float = 0.1,
    teacher_temperature: float | None = None,
) -> Tensor:
    """Kullback-Leibler divergence of softmax distributions over neighbours.

    `mean_i sum_j p_ij (log p_ij - log q_ij)`, `p` the teacher's and `q` the
    student's `softmax_j(cos(x_i, x_j) / T)` over the samples `j` other than
    `i`: a sample's similarity to itself is 1 in both networks, and would take
    most of each row. One sample alone gives 0.

    Args:
        teacher: tensor `[N, ...]`, flattened to `[N, D_t]`.
        student: tensor `[N, ...]`, flattened to `[N, D_s]`.
        temperature: float above 0, `T`. Defaults to 0.1.
        teacher_temperature: float above 0, `T` of the teacher's distributions;
            a lower one than the student's draws its images closer together
            than the teacher's lie. Defaults to None: `temperature`.

    Returns:
        Scalar tensor, in nats.

    References:
        - [Koohpayegani et al., 2020](https://arxiv.org/abs/2010.14713),
          CompRess, eq. 1 and 2, with the batch as the anchor points
        - [Fang et al., 2021](https://arxiv.org/abs/2101.04731), SEED
        - [Passalis and Tefas, 2018](https://arxiv.org/abs/1803.10837), PKT
    """
    if teacher_temperature is None:
        teacher_temperature = temperature
    return ops.mean(
        softmax_divergence(
            _similarities(teacher) / teacher_temperature,
            _similarities(student) / temperature,
        )
    )


def _similarities(features):
    (features,) = at_least_float32(features)
    unit = safe_unit_rows(flatten_samples(features), _EPSILON)
    cosines = ops.matmul(unit, ops.transpose(unit))
    itself = ops.eye(ops.shape(cosines)[0], dtype="bool")
    return ops.where(itself, ops.cast(_EXCLUDED, cosines.dtype), cosines)


@keras.saving.register_keras_serializable(package="indistill_tf")
class SimilarityKL(TemperatureLoss):
    """The layer form of `similarity_kl`.

    Args:
        temperature: float above 0. Defaults to 0.1.
        teacher_temperature: see `similarity_kl`. Defaults to None.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's embedding, `[N, D_t]`.
        student: the student's embedding, `[N, D_s]`; widths may differ.

    Raises:
        UserError: if a temperature is not positive.

    References:
        - [Koohpayegani et al., 2020](https://arxiv.org/abs/2010.14713)
    """

    endpoint = "embedding"
    relational = True

    def __init__(
        self,
        temperature: float = 0.1,
        teacher_temperature: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, **kwargs)
        if teacher_temperature is not None:
            check_temperature("teacher_temperature", teacher_temperature)
        self.teacher_temperature = teacher_temperature

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return similarity_kl(
            teacher, student, self.temperature, self.teacher_temperature
        )

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "teacher_temperature": self.teacher_temperature,
        }


@keras.saving.register_keras_serializable(package="indistill_tf")
class SimilarityWithClasses(SimilarityKL):
    """`similarity_kl` of embeddings plus `softened_kl` of logits.

    Neighbours say which images are alike, classes where each of them belongs.
    The teacher's probabilities, at temperature 1, train the student's own
    classifier, so that it needs no label.

    Args:
        temperature: float above 0, of the similarities. Defaults to 0.1.
        class_weight: float, the weight of `softened_kl`. Defaults to 1.
        teacher_temperature: see `similarity_kl`. Defaults to None.
        sigmoid: bool, see `softened_kl`. A `Distiller` chooses it by what the
            networks end in. Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: tuple of the teacher's embedding `[N, D_t]` and its logits
            `[N, C]`.
        student: the student's, `[N, D_s]` and `[N, C]`.

    Raises:
        UserError: if a temperature is not positive.

    References:
        - [Koohpayegani et al., 2020](https://arxiv.org/abs/2010.14713)
        - [Hinton et al., 2015](https://arxiv.org/abs/1503.02531)
    """

    endpoint = (("embedding", "logits"), ("embedding", "logits"))
    provided = ("sigmoid",)

    def __init__(
        self,
        temperature: float = 0.1,
        class_weight: float = 1.0,
        teacher_temperature: float | None = None,
        sigmoid: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, teacher_temperature, **kwargs)
        self.class_weight = class_weight
        self.sigmoid = sigmoid

    @classmethod
    def create(cls, setting: Setting, **options: Any) -> Self:
        return cls(**options, sigmoid=setting.sigmoid)

    def call(self, teacher: tuple, student: tuple) -> Tensor:
        embeddings, logits = zip(teacher, student, strict=True)
        classes = softened_kl(*logits, temperature=1.0, sigmoid=self.sigmoid)
        return super().call(*embeddings) + self.class_weight * classes

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "class_weight": self.class_weight,
            "sigmoid": self.sigmoid,
        }
