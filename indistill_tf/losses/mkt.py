"""MKT, metric knowledge transfer: distances or embeddings are matched.

The relative form compares the distances within a batch, so the networks'
widths may differ; the absolute form compares the embeddings themselves.
"""

import math
from typing import Any

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import safe_norm
from indistill_tf.losses.numerics import safe_unit_rows

_SQUARED_DISTANCE_FLOOR = 1e-12
_OFFSET = 1e-6


def metric_relative(
    teacher: Tensor, student: Tensor, normalize: bool = False
) -> Tensor:
    """Frobenius norm of the difference of two distance matrices.

    `sqrt(sum_ij (D_s - D_t)**2)`, `D_ij = sqrt(max(|e_i - e_j|**2, 1e-12))`:
    one norm over all N x N pairs, as in the authors' code. It grows like N, so
    a weight belongs to a batch size. Moving or rotating all embeddings of a
    network changes nothing.

    Args:
        teacher: tensor `[N, ...]`, flattened to `[N, D_t]`.
        student: tensor `[N, ...]`, flattened to `[N, D_s]`.
        normalize: bool, whether rows are divided by their Euclidean norm
            first; a zero row stays zero. Defaults to False.

    Returns:
        Scalar tensor. Where it is 0 its gradient is 0.

    References:
        - [Yu et al., 2019](https://arxiv.org/abs/1904.03624), relative teacher
    """
    teacher = _distances(_embedding(teacher, normalize))
    student = _distances(_embedding(student, normalize))
    return safe_norm(student - teacher, axis=None)


def metric_absolute(
    teacher: Tensor, student: Tensor, normalize: bool = False
) -> Tensor:
    """Mean distance between the two embeddings of a sample.

    `mean_i |e_s,i - e_t,i + 1e-6|`, the offset being added to each component
    as in the authors' code: equal embeddings give `1e-6 * sqrt(D)`, and a
    gradient that is finite.

    Args:
        teacher: tensor `[N, ...]`, flattened to `[N, D]`.
        student: tensor `[N, ...]`, flattened to the same `[N, D]`.
        normalize: bool, whether rows are divided by their Euclidean norm
            first; a zero row stays zero. Defaults to False.

    Returns:
        Scalar tensor.

    Raises:
        UserError: if the widths differ.

    References:
        - [Yu et al., 2019](https://arxiv.org/abs/1904.03624), absolute teacher
    """
    teacher = _embedding(teacher, normalize)
    student = _embedding(student, normalize)
    if teacher.shape[-1] != student.shape[-1]:
        raise UserError(
            "Embeddings must be of one width; use the `MetricAbsolute` layer, "
            "which adapts the student's. Received widths: "
            f"teacher={teacher.shape[-1]}, student={student.shape[-1]}"
        )
    return ops.mean(safe_norm(student - teacher + _OFFSET))


def _embedding(features, normalize):
    (features,) = at_least_float32(features)
    features = flatten_samples(features)
    return safe_unit_rows(features, epsilon=0) if normalize else features


def _distances(features):
    # The mean changes no distance, but far from the origin the products below
    # would cancel to rounding noise.
    center = ops.mean(features, axis=0, keepdims=True)
    features = features - ops.stop_gradient(center)
    products = ops.matmul(features, ops.transpose(features))
    squared = ops.sum(ops.square(features), axis=-1)
    distance = squared[:, None] + squared[None, :] - 2 * products
    off_diagonal = 1 - ops.eye(ops.shape(features)[0], dtype=distance.dtype)
    return ops.sqrt(
        ops.maximum(distance * off_diagonal, _SQUARED_DISTANCE_FLOOR)
    )


@keras.saving.register_keras_serializable(package="indistill_tf")
class MetricRelative(DistillationLoss):
    """The layer form of `metric_relative`.

    Args:
        normalize: bool, whether embeddings are brought to unit length first.
            Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's embedding, `[N, D_t]`.
        student: the student's embedding, `[N, D_s]`; widths may differ.

    References:
        - [Yu et al., 2019](https://arxiv.org/abs/1904.03624)
    """

    endpoint = "embedding"
    relational = True

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        return metric_relative(teacher, student, self.normalize)

    def get_config(self) -> dict:
        return {**super().get_config(), "normalize": self.normalize}


@keras.saving.register_keras_serializable(package="indistill_tf")
class MetricAbsolute(DistillationLoss):
    """The layer form of `metric_absolute`, for embeddings of any width.

    Where the widths differ, a trainable dense layer without activation brings
    the student's embedding to the teacher's width, before it is normalised.

    Args:
        normalize: bool, whether embeddings are brought to unit length first.
            Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's embedding, `[N, D_t]`.
        student: the student's embedding, `[N, D_s]`.

    Attributes:
        adapter: `keras.layers.Dense`, or None where the widths agree.

    References:
        - [Yu et al., 2019](https://arxiv.org/abs/1904.03624)
    """

    endpoint = "embedding"
    adapters = "dense layer where widths differ"

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize
        self.adapter = None

    def build(self, teacher_shape: tuple, student_shape: tuple) -> None:
        teacher_width = math.prod(teacher_shape[1:])
        student_width = math.prod(student_shape[1:])
        if teacher_width != student_width:
            self.adapter = keras.layers.Dense(
                teacher_width, dtype=self.dtype_policy, name="adapter"
            )
            self.adapter.build((None, student_width))

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        if self.adapter is not None:
            student = self.adapter(flatten_samples(student))
        return metric_absolute(
            flatten_samples(teacher), flatten_samples(student), self.normalize
        )

    def get_config(self) -> dict:
        return {**super().get_config(), "normalize": self.normalize}
