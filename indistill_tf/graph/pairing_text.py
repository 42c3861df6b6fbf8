"""Pairs of feature maps as text: what is compared, what is not, and why."""

import keras

from indistill_tf.graph import pruned_maps
from indistill_tf.graph.auto_pairs import near_sizes_of
from indistill_tf.graph.endpoints import endpoint
from indistill_tf.graph.endpoints import feature_maps


def describe(
    pairs: list,
    teacher: keras.Model,
    student: keras.Model,
    pruned: bool = True,
    batch_norm: str | None = None,
    ranking: str = "l1",
    resize: bool = False,
    reason: str = "no pair of `taps` names it",
) -> list[str]:
    """Returns what is compared, a line a pair, and what is left out and why.

    Args:
        pairs: list of `Tap`.
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        pruned: bool, whether the teacher's maps are pruned. Defaults to True.
        batch_norm: how pruned maps are normalised, see
            `indistill_tf.pruning.narrow_batch_norm`. Defaults to None: the
            text says nothing of it.
        ranking: string, by what the kept channels are chosen. Defaults to
            `"l1"`, of which the text says nothing.
        resize: bool, whether maps of other sizes are resized. Defaults to
            False.
        reason: string, why a map is left out that could have been paired.

    Returns:
        List of strings: layers, sizes, widths, the pruning rate, whether the
        teacher's layers were rebuilt narrower or its map is sliced, and which
        map the pair stands for where that is not the last of its size.
    """
    found = []
    for tap in pairs:
        target = endpoint(teacher, tap.teacher_layer)
        feature = endpoint(student, tap.student_layer)
        parts = [
            f"{tap.teacher_layer} {size_text(target.shape)} -> "
            f"{tap.student_layer} {size_text(feature.shape)}"
        ]
        if pruned:
            parts += _pruning(target, feature.shape[-1], batch_norm, ranking)
        if resize and target.shape[1:3] != feature.shape[1:3]:
            size = " x ".join(map(str, feature.shape[1:3]))
            parts.append(f"the teacher's map resized to {size}")
        replaced = [
            *_replaced("teacher", teacher, tap.teacher_layer),
            *_replaced("student", student, tap.student_layer),
        ]
        if replaced:
            parts.append(f"in place of {' and '.join(replaced)}")
        found.append(", ".join(parts))
    return found + _left_out(pairs, teacher, student, pruned, resize, reason)


def list_maps(model: keras.Model) -> str:
    """Returns a model's feature maps and their sizes, as text.

    Args:
        model: functional `keras.Model`.
    """
    return ", ".join(
        f"{name} {size_text(tensor.shape)}"
        for name, tensor in feature_maps(model).items()
    )


def size_text(shape: tuple) -> str:
    """Returns height, width and channels, as text.

    Args:
        shape: of a map, `(N, H, W, C)`.
    """
    return " x ".join(str(size) for size in shape[1:])


def _pruning(target, width, batch_norm, ranking):
    rate = 1 - width / target.shape[-1]
    parts = [f"pruning rate {rate:.3g}", pruned_maps.describe(target, width)]
    if ranking != "l1" and width != target.shape[-1]:
        parts.append(f"ranked by {ranking}")
    if batch_norm is None or width == target.shape[-1]:
        return parts
    mode = pruned_maps.batch_norm_of(target, batch_norm)
    if mode != batch_norm:
        mode += " (no batch normalisation to rebuild)"
    return [*parts, f"batch_norm={mode}"]


def _replaced(role, model, name):
    """Returns which map of its size a layer was taken instead of, if any."""
    maps = feature_maps(model)
    if name in maps:
        return []
    size = endpoint(model, name).shape[1:3]
    return [
        f"the {role}'s {other} ({tensor.shape[-1]} channels)"
        for other, tensor in maps.items()
        if tensor.shape[1:3] == size
    ][-1:]


def _left_out(pairs, teacher, student, pruned, resize, reason):
    names = {tap.student_layer for tap in pairs}
    compared = {
        tuple(endpoint(student, name).shape[1:3])
        for name in names - set(feature_maps(student))
    }
    taken = {tap.teacher_layer for tap in pairs}
    near = {} if resize else near_sizes_of(teacher, student)
    return [
        f"left out: {name} {size_text(tensor.shape)}, "
        f"{_why(tensor, teacher, taken, pruned, near, reason)}"
        for name, tensor in feature_maps(student).items()
        if name not in names and tuple(tensor.shape[1:3]) not in compared
    ]


def _why(tensor, teacher, taken, pruned, near, reason):
    """Returns why a map of the student's has no partner."""
    size = tuple(tensor.shape[1:3])
    partners = {
        name: other
        for name, other in feature_maps(teacher).items()
        if tuple(other.shape[1:3]) == size
    }
    if not partners:
        reason = "the teacher has no map of this size"
        if size not in near:
            return reason
        height, width = near[size]
        return f"{reason} ({height} x {width} with `taps_resize=True`)"
    widths = [other.shape[-1] for other in partners.values()]
    if pruned and max(widths) < tensor.shape[-1]:
        return f"the teacher's map has {max(widths)} channels"
    if set(partners) <= taken:
        return "the teacher's maps of this size are compared with others"
    return reason
