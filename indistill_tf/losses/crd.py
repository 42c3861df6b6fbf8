"""CRD, contrastive representation distillation.

A sample's embedding in one network is told apart from the embeddings of many
other samples in the other network. These come from two memory banks, one row
for each sample of the training set, so the loss needs to know which samples a
batch holds.
"""

import math

import keras
from keras import ops

from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import safe_unit_rows

_EPSILON = 1e-7
_SEED_STATE = "seed_state"


def contrastive_nce(scores, num_negatives, num_data):
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


def contrast_scores(embedding, bank, contrast_ids, temperature):
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


def draw_negatives(own, num_negatives, seed):
    """Draws indices of other classes for every sample of a batch.

    Without replacement where a sample has at least `num_negatives` candidates,
    otherwise with replacement, so that classes of any size and sets smaller
    than `num_negatives` work.

    Args:
        own: bool tensor `[N, num_data]`, True where a sample of the training
            set is no candidate. Each row needs one candidate.
        num_negatives: int, K.
        seed: `keras.random.SeedGenerator` or int.

    Returns:
        Int tensor `[N, K]`.
    """
    batch_size, num_data = ops.shape(own)
    candidates = ops.sum(ops.cast(~own, "int32"), axis=-1, keepdims=True)
    keys = keras.random.uniform((batch_size, num_data), seed=seed)
    # Candidates in random order, then the rest.
    order = ops.top_k(
        ops.where(own, -ops.ones_like(keys), keys),
        k=min(num_negatives, num_data),
    )[1]
    draws = keras.random.uniform((batch_size, num_negatives), seed=seed)
    draws = ops.cast(draws * ops.cast(candidates, draws.dtype), "int32")
    positions = ops.where(
        candidates >= num_negatives,
        ops.arange(num_negatives, dtype="int32")[None, :],
        ops.minimum(draws, candidates - 1),
    )
    return ops.take_along_axis(order, positions, axis=1)


def draw_positives(own, seed):
    """Draws one index of the own class for every sample of a batch.

    Args:
        own: bool tensor `[N, num_data]`, True for the candidates.
        seed: `keras.random.SeedGenerator` or int.

    Returns:
        Int tensor `[N]`; a sample may draw itself.
    """
    keys = keras.random.uniform(ops.shape(own), seed=seed)
    return ops.argmax(ops.where(own, keys, -ops.ones_like(keys)), axis=-1)


@keras.saving.register_keras_serializable(package="indistill_tf")
class ContrastiveRepresentation(DistillationLoss):
    """The sum of `contrastive_nce` for student and teacher anchors.

    Both embeddings pass a trainable dense head and are brought to unit length.
    The student's are scored against the bank of the teacher's and the other
    way round. Scores are divided by a constant for each side, set from the
    first training batch and then kept. After scoring, the batch's rows of both
    banks move towards the new embeddings.

    Memory is that of two banks `[num_data, width]` and a few tensors
    `[N, num_data]`. Under a `tf.distribute` strategy every replica's rows
    enter the banks. The authors weigh the loss 0.8 next to a cross-entropy.

    Args:
        num_data: int, number of samples of the training set.
        labels: ints `[num_data]`, the class of each sample, kept as a weight
            and, as a list, in the config. Defaults to None: every other
            sample may be a negative.
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
        ValueError: if an argument is out of range, `labels` do not fit, or
            `sample_ids` are missing.

    References:
        - [Tian et al., 2019](https://arxiv.org/abs/1910.10699)
    """

    endpoint = "embedding"

    def __init__(
        self,
        num_data,
        labels=None,
        num_negatives=16384,
        width=128,
        temperature=0.07,
        momentum=0.5,
        positives="exact",
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_data = num_data
        self.labels = None if labels is None else [int(i) for i in labels]
        self.num_negatives = num_negatives
        self.width = width
        self.temperature = temperature
        self.momentum = momentum
        self.positives = positives
        self.seed = seed
        self._check()
        self._seed_generator = keras.random.SeedGenerator(seed)

    def build(self, teacher_shape, student_shape):
        self.teacher_head = self._head(teacher_shape, "teacher_head")
        self.student_head = self._head(student_shape, "student_head")
        self.teacher_bank = self._bank("teacher_bank", self.seed)
        self.student_bank = self._bank("student_bank", self.seed + 1)
        self.teacher_normalizer = self._scalar("teacher_normalizer", "mean")
        self.student_normalizer = self._scalar("student_normalizer", "mean")
        self._num_replicas = self._scalar("num_replicas", "sum")
        self._classes = None
        if self.labels is not None:
            self._classes = self.add_weight(
                shape=(self.num_data,),
                initializer=lambda shape, dtype: ops.convert_to_tensor(
                    self.labels, dtype
                ),
                dtype="int32",
                trainable=False,
                name="labels",
            )

    def call(
        self,
        teacher,
        student,
        sample_ids=None,
        contrast_ids=None,
        training=True,
    ):
        if sample_ids is None:
            raise ValueError(
                "`sample_ids` are needed: the positions of the batch's samples "
                "in the training set. Received: sample_ids=None"
            )
        sample_ids = ops.cast(sample_ids, "int32")
        if contrast_ids is None:
            contrast_ids = self._draw(sample_ids)
        teacher = _unit(self.teacher_head, teacher)
        student = _unit(self.student_head, student)
        loss = self._one_side(
            student,
            self.teacher_bank,
            contrast_ids,
            self.student_normalizer,
            training,
        ) + self._one_side(
            teacher,
            self.student_bank,
            contrast_ids,
            self.teacher_normalizer,
            training,
        )
        if training:
            self._num_replicas.assign(1)
            self._update(self.teacher_bank, sample_ids, teacher)
            self._update(self.student_bank, sample_ids, student)
        return loss

    def get_config(self):
        return {
            **super().get_config(),
            "num_data": self.num_data,
            "labels": None if self.labels is None else list(self.labels),
            "num_negatives": self.num_negatives,
            "width": self.width,
            "temperature": self.temperature,
            "momentum": self.momentum,
            "positives": self.positives,
            "seed": self.seed,
        }

    def save_own_variables(self, store):
        super().save_own_variables(store)
        # Keras leaves it out, and a resumed run would repeat its draws.
        store[_SEED_STATE] = self._seed_generator.state

    def load_own_variables(self, store):
        weights = {name: store[name] for name in store.keys()}
        self._seed_generator.state.assign(weights.pop(_SEED_STATE))
        super().load_own_variables(weights)

    def _one_side(self, anchor, bank, contrast_ids, normalizer, training):
        scores = contrast_scores(anchor, bank, contrast_ids, self.temperature)
        first = ops.stop_gradient(ops.mean(scores)) * self.num_data
        constant = ops.where(normalizer > 0, normalizer, first)
        if training:
            normalizer.assign(constant)
        num_negatives = contrast_ids.shape[1] - 1
        return contrastive_nce(scores / constant, num_negatives, self.num_data)

    def _draw(self, sample_ids):
        if self._classes is None:
            everyone = ops.arange(self.num_data, dtype="int32")
            own = sample_ids[:, None] == everyone[None, :]
        else:
            classes = ops.take(self._classes, sample_ids)
            own = classes[:, None] == self._classes[None, :]
        seed = self._seed_generator
        positives = sample_ids
        if self.positives == "relaxed":
            positives = ops.cast(draw_positives(own, seed), "int32")
        negatives = draw_negatives(own, self.num_negatives, seed)
        return ops.concatenate([positives[:, None], negatives], axis=1)

    def _update(self, bank, sample_ids, embedding):
        old = ops.take(bank, sample_ids, axis=0)
        mixed = self.momentum * old + (1 - self.momentum) * embedding
        change = safe_unit_rows(ops.stop_gradient(mixed), epsilon=0) - old
        # Replicas hold different samples and their banks are averaged.
        change *= self._num_replicas
        bank.assign(ops.scatter_update(bank, sample_ids[:, None], old + change))

    def _head(self, shape, name):
        head = keras.layers.Dense(
            self.width, dtype=self.dtype_policy, name=name
        )
        head.build((None, math.prod(shape[1:])))
        return head

    def _bank(self, name, seed):
        # Rows of about unit length.
        limit = math.sqrt(3 / self.width)
        return self.add_weight(
            shape=(self.num_data, self.width),
            initializer=keras.initializers.RandomUniform(-limit, limit, seed),
            trainable=False,
            aggregation="mean",
            name=name,
        )

    def _scalar(self, name, aggregation):
        return self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            aggregation=aggregation,
            name=name,
        )

    def _check(self):
        for name in ("num_negatives", "width", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"`{name}` must be above 0. "
                    f"Received: {name}={getattr(self, name)}"
                )
        if self.num_data < 2:
            raise ValueError(
                "`num_data` must be at least 2, or there are no negatives. "
                f"Received: num_data={self.num_data}"
            )
        if not 0 <= self.momentum <= 1:
            raise ValueError(
                "`momentum` must lie in 0..1. "
                f"Received: momentum={self.momentum}"
            )
        if self.positives not in ("exact", "relaxed"):
            raise ValueError(
                '`positives` must be "exact" or "relaxed". '
                f"Received: positives={self.positives!r}"
            )
        self._check_labels()

    def _check_labels(self):
        if self.labels is None:
            if self.positives == "relaxed":
                raise ValueError(
                    'positives="relaxed" draws from a sample\'s class and '
                    "needs `labels`. Received: labels=None"
                )
        elif len(self.labels) != self.num_data:
            raise ValueError(
                "`labels` must name the class of each of the `num_data` "
                f"samples. Received: num_data={self.num_data} and "
                f"{len(self.labels)} labels"
            )
        elif len(set(self.labels)) < 2:
            raise ValueError(
                "`labels` must hold at least two classes, or there are no "
                f"negatives. Received only: {self.labels[0]}"
            )


def _unit(head, features):
    return safe_unit_rows(head(flatten_samples(features)), epsilon=0)
