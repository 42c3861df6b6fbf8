"""The terms of a rate-distortion module's loss, one number for each sample."""

from keras import ops

from indistill_tf.errors import unknown_name
from indistill_tf.losses.numerics import softmax_divergence

REDUCTIONS = ("sum", "mean")


def squared_error(difference):
    """Returns the square, elementwise."""
    return ops.square(difference)


def smooth_l1(difference):
    """Returns `d**2 / 2` where `|d| < 1` and `|d| - 1/2` elsewhere."""
    size = ops.abs(difference)
    return ops.where(size < 1, ops.square(difference) / 2, size - 0.5)


DISTORTIONS = {"mse": squared_error, "smooth_l1": smooth_l1}


def check_reduction(name):
    """Raises a `UserError` if there is no such reduction."""
    if name not in REDUCTIONS:
        raise unknown_name("reduction", name, REDUCTIONS)


def check_distortion(name):
    """Raises a `UserError` if there is no such distortion."""
    if name not in DISTORTIONS:
        raise unknown_name("distortion", name, DISTORTIONS)


def reduced(values, reduction):
    """Reduces the last axis.

    Args:
        values: tensor `[..., D]`.
        reduction: `"sum"` or `"mean"`.

    Raises:
        UserError: if `reduction` is neither.
    """
    check_reduction(reduction)
    if reduction == "sum":
        return ops.sum(values, axis=-1)
    return ops.mean(values, axis=-1)


def distortion(embedding, reconstruction, kind="mse", reduction="sum"):
    """How far a reconstruction is from the teacher's embedding.

    Args:
        embedding: `[N, D]`.
        reconstruction: `[M, N, D]`.
        kind: `"mse"` for the squared error, or `"smooth_l1"`. Defaults to
            `"mse"`.
        reduction: `"sum"` or `"mean"` over D. Defaults to `"sum"`, as eq. 4
            is printed.

    Returns:
        Tensor `[M, N]`.

    Raises:
        UserError: if there is no such kind or reduction.

    References:
        - CIFD, NeurIPS 2024, eq. 4
    """
    check_distortion(kind)
    return reduced(DISTORTIONS[kind](embedding - reconstruction), reduction)


def cross_entropy(labels, logits):
    """Cross-entropy of classes.

    Args:
        labels: ints `[N]` or `[N, 1]`.
        logits: `[M, N, classes]`.

    Returns:
        Tensor `[M, N]`, in nats.
    """
    classes = ops.one_hot(ops.reshape(labels, (-1,)), logits.shape[-1])
    return -ops.sum(classes * ops.log_softmax(logits, axis=-1), axis=-1)


def sample_kl(teacher_logits, logits, temperature):
    """`T**2 KL(teacher || module)` of probabilities softened by T.

    The factor of `T**2`, which the paper does not speak of, is Hinton's.

    Args:
        teacher_logits: `[N, classes]`.
        logits: `[M, N, classes]`.
        temperature: float, T.

    Returns:
        Tensor `[M, N]`, in nats.

    References:
        - CIFD, NeurIPS 2024, eq. 5
        - [Hinton et al., 2015](https://arxiv.org/abs/1503.02531)
    """
    return temperature**2 * softmax_divergence(
        teacher_logits / temperature, logits / temperature
    )


def is_correct(labels, logits):
    """Returns 1.0 where a sample's class is the largest logit, else 0.0.

    Args:
        labels: ints `[N]` or `[N, 1]`.
        logits: `[M, N, classes]`, or `[N, classes]`.
    """
    labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
    predictions = ops.cast(ops.argmax(logits, axis=-1), "int32")
    return ops.cast(predictions == labels, "float32")
