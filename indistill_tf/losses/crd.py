"""CRD, contrastive representation distillation.

A sample's embedding in one network is told apart from the embeddings of many
other samples in the other network. These come from two memory banks, one row
for each sample of the training set, so the loss needs to know which samples a
batch holds.
"""

import math
from typing import Any
from typing import Self

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.base import Setting
from indistill_tf.losses.contrast_sampling import ContrastSampler
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import safe_unit_rows

_EPSILON = 1e-7


def contrastive_nce(
    scores: Tensor, num_negatives: int, num_data: int
) -> Tensor:
    """Noise-contrastive loss of one side.

    `-mean_n [log(x_0 / (x_0 + q + e)) + sum_k log(q / (x_k + q + e))]` with
    `q = num_negatives / num_data` and `e = 1e-7`. It is above 0 even for a
    perfect student.

    Args:
        scores: tensor `[N, K + 1]`, above 0; column 0 belongs to the positive.
        num_negatives: int, K.
        num_data: int, number of samples that negatives are drawn from.

    Returns:
        Scalar tensor, in nats.

    References:
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699)
    """
    (scores,) = at_least_float32(scores)
    noise = num_negatives / num_data
    denominator = scores + noise + _EPSILON
    positive = ops.log(scores[:, 0] / denominator[:, 0])
    negatives = ops.sum(ops.log(noise / denominator[:, 1:]), axis=-1)
    return -ops.mean(positive + negatives)


def contrast_scores(
    embedding: Tensor, bank: Tensor, contrast_ids: Tensor, temperature: float
) -> Tensor:
    """Similarity of embeddings to rows of a bank, not yet normalised.

    `exp(<u_n, M[i_nk]> / T)`. All rows of the bank are scored and the wanted
    scores picked: gathering the rows themselves would take `D` times the
    memory.

    Args:
        embedding: tensor `[N, D]`, rows of unit length.
        bank: tensor `[num_data, D]`; it gets no gradient.
        contrast_ids: int tensor `[N, K + 1]`, rows of the bank.
        temperature: float, `T`.

    Returns:
        Tensor `[N, K + 1]`.

    References:
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699)
    """
    embedding, bank = at_least_float32(embedding, bank)
    bank = ops.stop_gradient(bank)
    similarity = ops.matmul(embedding, ops.transpose(bank))
    chosen = ops.take_along_axis(similarity, contrast_ids, axis=1)
    return ops.exp(chosen / temperature)


@keras.saving.register_keras_serializable(package="indistill_tf")
class ContrastiveRepresentation(DistillationLoss):
    """The sum of `contrastive_nce` for student and teacher anchors.

    Both embeddings pass a trainable dense head and come to unit length. The
    student's are scored against the bank of the teacher's and the other way
    round, divided by a constant for each side that the first training batch
    sets. Then the batch's rows of both banks move towards the new embeddings.
    Memory is that of two banks `[num_data, width]` and a few tensors
    `[N, num_data]`. The authors weigh the loss 0.8 next to a cross-entropy.

    With several replicas, each must be given the whole batch: then all do the
    same and keep equal banks, with no traffic between them.

    Args:
        num_data: int, number of samples of the training set.
        labels: ints `[num_data]`, the class of each sample, kept in the
            config. Defaults to None: every other sample may be a negative.
        num_negatives: int, K. Defaults to 16384. Where other classes hold
            fewer samples, negatives repeat.
        width: int, of the heads and banks. Defaults to 128.
        temperature: float above 0. Defaults to 0.07.
        momentum: float in 0..1, how much of a bank's row an update keeps.
            Defaults to 0.5.
        positives: `"exact"`, the sample itself, or `"relaxed"`, any sample of
            its class. Defaults to `"exact"`.
        seed: int, of the banks and the draws. Defaults to 0.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's embedding, `[N, D_t]`.
        student: the student's embedding, `[N, D_s]`.
        sample_ids: ints `[N]`, positions of the batch's samples in the
            training set; no sample twice.
        contrast_ids: ints `[N, K + 1]`, the positive and the negatives of each
            sample. Defaults to None: they are drawn.
        training: bool, whether the banks are updated. Defaults to True.

    Raises:
        UserError: if an argument is out of range, `labels` do not fit, or
            `sample_ids` are missing.

    References:
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699)
    """

    endpoint = "embedding"
    relational = True
    remembers = True
    needs = ("sample_ids",)
    provided = ("labels",)
    adapters = "two dense heads, two memory banks"

    def __init__(
        self,
        num_data: int,
        labels: Tensor | None = None,
        num_negatives: int = 16384,
        width: int = 128,
        temperature: float = 0.07,
        momentum: float = 0.5,
        positives: str = "exact",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if width <= 0 or temperature <= 0 or not 0 <= momentum <= 1:
            raise UserError(
                "`width` and `temperature` must be above 0 and `momentum` in "
                f"0..1. Received: width={width}, temperature={temperature}, "
                f"momentum={momentum}"
            )
        self.num_data = num_data
        self.width = width
        self.temperature = temperature
        self.momentum = momentum
        self.sampler = ContrastSampler(
            num_data, labels, num_negatives, positives, seed
        )

    @classmethod
    def create(cls, setting: Setting, **options: Any) -> Self:
        """Returns the loss for the training set of a run.

        Args:
            setting: `Setting`, of which `train_labels` are taken.
            **options: further arguments of the constructor.

        Raises:
            UserError: if the training labels are not known.
        """
        labels = setting.labels()
        if labels is None:
            raise UserError(
                "CRD contrasts the samples of the training set, and needs "
                "`train_labels` in `Distiller(...)`: the class of each "
                "training image, in the order of the sample ids."
            )
        return cls(num_data=len(labels), labels=labels, **options)

    def build(self, teacher_shape: tuple, student_shape: tuple) -> None:
        self.teacher_head = self._head(teacher_shape, "teacher_head")
        self.student_head = self._head(student_shape, "student_head")
        # Their aggregation is "none": each replica assigns to its own copy.
        self.teacher_bank = self._bank("teacher_bank", self.sampler.seed)
        self.student_bank = self._bank("student_bank", self.sampler.seed + 1)
        self.teacher_normalizer = self._normalizer("teacher_normalizer")
        self.student_normalizer = self._normalizer("student_normalizer")

    def call(
        self,
        teacher: Tensor,
        student: Tensor,
        sample_ids: Tensor | None = None,
        contrast_ids: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        if sample_ids is None:
            raise UserError(
                "CRD needs the positions of the batch's images in the training "
                "set. Received: sample_ids=None. The data must give "
                '`({"image": images, "sample_id": ids}, labels)`.'
            )
        sample_ids = ops.cast(sample_ids, "int32")
        if contrast_ids is None:
            contrast_ids = self.sampler(sample_ids)
        teacher = safe_unit_rows(self.teacher_head(flatten_samples(teacher)), 0)
        student = safe_unit_rows(self.student_head(flatten_samples(student)), 0)
        sides = (
            (student, self.teacher_bank, self.student_normalizer),
            (teacher, self.student_bank, self.teacher_normalizer),
        )
        loss = sum(self._side(*side, contrast_ids, training) for side in sides)
        if training:
            self._update(self.teacher_bank, sample_ids, teacher)
            self._update(self.student_bank, sample_ids, student)
        return loss

    def get_config(self) -> dict:
        return {
            **self.sampler.get_config(),
            **super().get_config(),
            "width": self.width,
            "temperature": self.temperature,
            "momentum": self.momentum,
        }

    def _side(self, anchor, bank, normalizer, contrast_ids, training):
        scores = contrast_scores(anchor, bank, contrast_ids, self.temperature)
        first = ops.stop_gradient(ops.mean(scores)) * self.num_data
        constant = ops.where(normalizer > 0, normalizer, first)
        if training:
            normalizer.assign(constant)
        num_negatives = contrast_ids.shape[1] - 1
        return contrastive_nce(scores / constant, num_negatives, self.num_data)

    def _update(self, bank, sample_ids, embedding):
        old = ops.take(bank, sample_ids, axis=0)
        mixed = self.momentum * old + (1 - self.momentum) * embedding
        new = safe_unit_rows(ops.stop_gradient(mixed), 0)
        bank.assign(ops.scatter_update(bank, sample_ids[:, None], new))

    def _head(self, shape, name):
        head = layers.Dense(self.width, dtype=self.dtype_policy, name=name)
        head.build((None, math.prod(shape[1:])))
        return head

    def _bank(self, name, seed):
        shape = (self.num_data, self.width)
        # Rows of about unit length.
        limit = math.sqrt(3 / self.width)
        uniform = keras.initializers.RandomUniform(-limit, limit, seed)
        return self.add_weight(shape, uniform, trainable=False, name=name)

    def _normalizer(self, name):
        return self.add_weight((), "zeros", trainable=False, name=name)
