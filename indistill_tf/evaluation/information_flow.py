"""L_MI: how much of the teacher's information flow a student reproduces."""

import dataclasses

import numpy as np

from indistill_tf.hints import Tensor
from indistill_tf.losses import probabilistic_jeffreys


@dataclasses.dataclass(frozen=True)
class InformationFlow:
    """The mutual-information divergence of two embeddings; lower is better.

    Attributes:
        mean: float, over batches.
        sum: float, over batches; what the papers appear to print.
        batches: int.
        batch_size: int; the value of a batch falls like `1 / batch_size`.
    """

    mean: float
    sum: float
    batches: int
    batch_size: int


def information_flow(
    teacher: Tensor, student: Tensor, batch_size: int = 128
) -> InformationFlow:
    """Measures L_MI between two networks' embeddings of the same images.

    Args:
        teacher: array `[N, D_t]`.
        student: array `[N, D_s]`, of the same images in the same order.
        batch_size: int; the last, smaller batch counts as one. Defaults to
            128.

    Returns:
        `InformationFlow`.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), sec. 4.4
    """
    values = [
        float(
            probabilistic_jeffreys(
                teacher[start : start + batch_size],
                student[start : start + batch_size],
            )
        )
        for start in range(0, len(teacher), batch_size)
    ]
    return InformationFlow(
        mean=float(np.mean(values)),
        sum=float(np.sum(values)),
        batches=len(values),
        batch_size=batch_size,
    )
