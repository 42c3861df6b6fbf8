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
from indistill_tf.losses.contrast_sampling import Contrasts
from indistill_tf.losses.contrast_sampling import ContrastSampler
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import safe_unit_rows

_EPSILON = 1e-7


def contrastive_nce(
    positive: Tensor,
    negatives: Tensor,
    num_data: int,
    weights: Tensor | None = None,
) -> Tensor:
    """Noise-contrastive loss of one side.

    `-mean_n [log(x / (x + q + e)) + sum_m w_nm log(q / (y_nm + q + e))]` with
    the scores `x` of positives and `y` of negatives, `q = K / num_data` for K
    negatives of a sample, and `e = 1e-7`. It is above 0 even for a perfect
    student.

    Args:
        positive: tensor `[N]`, scores above 0.
        negatives: tensor `[N, M]`, scores above 0.
        num_data: int, number of samples that negatives are drawn from.
        weights: tensor `[N, M]`, how often each of `negatives` counts. Every
            row adds up to K. Defaults to None: once each, so that K is M.

    Returns:
        Scalar tensor, in nats.

    References:
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699)
    """
    positive, negatives = at_least_float32(positive, negatives)
    if weights is None:
        weights = ops.ones_like(negatives)
    noise = ops.mean(ops.sum(weights, axis=-1)) / num_data
    own = ops.log(positive / (positive + noise + _EPSILON))
    others = weights * ops.log(noise / (negatives + noise + _EPSILON))
    return -ops.mean(own + ops.sum(others, axis=-1))


def contrast_scores(
    embedding: Tensor, rows: Tensor, temperature: float
) -> Tensor:
    """Similarity of embeddings to rows of a bank, not yet normalised.

    `exp(<u_n, M_m> / T)`.

    Args:
        embedding: tensor `[..., N, D]`, rows of unit length.
        rows: tensor `[..., M, D]`; they get no gradient.
        temperature: float, `T`.

    Returns:
        Tensor `[..., N, M]`.

    References:
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699)
    """
    embedding, rows = at_least_float32(embedding, rows)
    rows = ops.swapaxes(ops.stop_gradient(rows), -1, -2)
    return ops.exp(ops.matmul(embedding, rows) / temperature)


@keras.saving.register_keras_serializable(package="indistill_tf")
class ContrastiveRepresentation(DistillationLoss):
    """The sum of `contrastive_nce` for student and teacher anchors.

    Both embeddings pass a trainable dense head and come to unit length. The
    student's are scored against the bank of the teacher's and the other way
    round, divided by a constant for each side that the first training batch
    sets. Then the batch's rows of both banks move towards the new embeddings.
    Memory is that of two banks `[num_data, width]` and a few tensors `[N, M]`,
    of M candidates: K and the largest class. The authors weigh the loss 0.8
    next to a cross-entropy, and draw negatives for each sample of a batch
    apart; here the batch shares a shuffle (`ContrastSampler`).

    With several replicas, each must be given the whole batch: then all do the
    same and keep equal banks, with no traffic between them.

    Args:
        num_data: int, number of samples of the training set.
        labels: ints `[num_data]`, the class of each sample, kept in the
            config. Defaults to None: every other sample may be a negative.
        num_negatives: int, K. Defaults to 16384. Where other classes hold
            fewer samples, all of them count, K / their number each.
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
            contrasts = self.sampler(sample_ids)
        else:
            contrasts = self._as_contrasts(contrast_ids)
        teacher = safe_unit_rows(self.teacher_head(flatten_samples(teacher)), 0)
        student = safe_unit_rows(self.student_head(flatten_samples(student)), 0)
        sides = (
            (student, self.teacher_bank, self.student_normalizer),
            (teacher, self.student_bank, self.teacher_normalizer),
        )
        loss = sum(self._side(*side, contrasts, training) for side in sides)
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

    def _side(self, anchor, bank, normalizer, contrasts, training):
        own, others, weights = contrasts
        temperature = self.temperature
        positive = contrast_scores(
            anchor[:, None], ops.take(bank, own, axis=0)[:, None], temperature
        )[:, 0, 0]
        negatives = contrast_scores(
            anchor, ops.take(bank, others, axis=0), temperature
        )
        weights = ops.cast(weights, negatives.dtype)
        totals = positive + ops.sum(weights * negatives, axis=-1)
        mean = ops.mean(totals) / (1 + ops.mean(ops.sum(weights, axis=-1)))
        first = ops.stop_gradient(mean) * self.num_data
        constant = ops.where(normalizer > 0, normalizer, first)
        if training:
            normalizer.assign(constant)
        return contrastive_nce(
            positive / constant, negatives / constant, self.num_data, weights
        )

    def _as_contrasts(self, contrast_ids):
        counts = ops.bincount(contrast_ids[:, 1:], minlength=self.num_data)
        every_sample = ops.arange(self.num_data, dtype="int32")
        weights = ops.cast(counts, "float32")
        return Contrasts(contrast_ids[:, 0], every_sample, weights)

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
