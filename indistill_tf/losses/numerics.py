"""Numerical care that several papers' equations need."""

import keras
from keras import ops

from indistill_tf.errors import UserError


def at_least_float32(*tensors):
    """Casts half-precision tensors to float32 and leaves wider ones alone."""
    cast = []
    for tensor in tensors:
        tensor = ops.convert_to_tensor(tensor)
        half = keras.backend.standardize_dtype(tensor.dtype) in (
            "float16",
            "bfloat16",
        )
        cast.append(ops.cast(tensor, "float32") if half else tensor)
    return cast


def softmax_divergence(teacher_logits, student_logits):
    """Returns `KL(softmax(teacher) || softmax(student))` of each sample.

    Args:
        teacher_logits: tensor `[..., C]`.
        student_logits: tensor `[..., C]`, broadcast to it.

    Returns:
        Tensor `[...]`, in nats.
    """
    log_teacher = ops.log_softmax(teacher_logits, axis=-1)
    log_student = ops.log_softmax(student_logits, axis=-1)
    return ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=-1)


def sigmoid_divergence(teacher_logits, student_logits):
    """Returns the mean `KL(sigmoid(teacher) || sigmoid(student))` of a sample.

    Of a single logit `z` it is what `softmax_divergence` is of `(z, 0)`.

    Args:
        teacher_logits: tensor `[..., K]`, each of a probability of its own.
        student_logits: tensor `[..., K]`, broadcast to it.

    Returns:
        Tensor `[...]`, the mean over the K, in nats.
    """
    yes = ops.log_sigmoid(teacher_logits)
    no = ops.log_sigmoid(-teacher_logits)
    own_yes = ops.log_sigmoid(student_logits)
    own_no = ops.log_sigmoid(-student_logits)
    divergence = ops.exp(yes) * (yes - own_yes) + ops.exp(no) * (no - own_no)
    return ops.mean(divergence, axis=-1)


def safe_unit_rows(features, epsilon):
    """Returns rows divided by `norm + epsilon`; a zero row stays zero.

    Args:
        features: tensor `[N, D]`.
        epsilon: float, added to each row's Euclidean norm.

    The gradient at an all-zero row is zero. The plain formula has slope
    `1 / epsilon` there and the plain square root a NaN.
    """
    norm = safe_norm(features, keepdims=True)
    is_zero = ops.equal(norm, 0)
    divisor = ops.where(is_zero, ops.ones_like(norm), norm + epsilon)
    return ops.where(is_zero, ops.zeros_like(features), features / divisor)


def safe_norm(tensor, axis=-1, keepdims=False):
    """Euclidean norm whose gradient at an all-zero slice is zero, not NaN.

    Args:
        tensor: tensor.
        axis: int, tuple of ints, or None for all axes. Defaults to -1.
        keepdims: bool. Defaults to False.
    """
    squared = ops.sum(ops.square(tensor), axis=axis, keepdims=keepdims)
    return safe_sqrt(squared)


def flatten_samples(features):
    """Reshapes `[N, ...]` to `[N, D]`."""
    if len(features.shape) == 2:
        return features
    return ops.reshape(features, (ops.shape(features)[0], -1))


def floored_unit_rows(features, floor=1e-12):
    """Returns rows divided by their norm, or by `floor` where that is larger.

    Args:
        features: tensor `[N, D]`.
        floor: float, the smallest divisor. Defaults to 1e-12.

    The floor is on the norm, not on its square: maps of a dying layer have
    norms near 1e-8 and still point somewhere. A zero row stays zero.
    """
    return features / ops.maximum(safe_norm(features, keepdims=True), floor)


def safe_sqrt(squared):
    """Returns the square root, with a zero gradient at 0 instead of a NaN."""
    is_zero = ops.equal(squared, 0)
    root = ops.sqrt(ops.where(is_zero, ops.ones_like(squared), squared))
    return ops.where(is_zero, ops.zeros_like(squared), root)


def adaptive_average_pool(maps, size):
    """Averages maps down to a size that need not divide theirs.

    Bin `i` of `o` covers the pixels `floor(i * n / o)` to
    `ceil((i + 1) * n / o)`, so neighbouring bins may share pixels.

    Args:
        maps: tensor `[N, H, W, C]`.
        size: `(height, width)`, at most `(H, W)`.

    Returns:
        Tensor `[N, height, width, C]`, of float32 or wider.
    """
    (maps,) = at_least_float32(maps)
    if tuple(maps.shape[1:3]) == tuple(size):
        return maps
    return ops.adaptive_average_pool(
        maps, tuple(size), data_format="channels_last"
    )


def pool_to_smaller(first, second):
    """Averages the larger of two maps down to the size of the smaller.

    Args:
        first: tensor `[N, H, W, C]`.
        second: tensor `[N, H', W', C']`.

    Returns:
        Both maps, in float32 or wider, at the smaller height and width.

    Raises:
        UserError: if the sizes differ and are not known.
    """
    sizes = tuple(first.shape[1:3]), tuple(second.shape[1:3])
    if sizes[0] == sizes[1]:
        return at_least_float32(first, second)
    if None in sizes[0] + sizes[1]:
        raise UserError(
            "Maps of different sizes can only be compared when the sizes are "
            f"known. Received: {sizes[0]} and {sizes[1]}. Build both networks "
            "with a fixed input shape."
        )
    smaller = tuple(map(min, *sizes))
    return [adaptive_average_pool(maps, smaller) for maps in (first, second)]
