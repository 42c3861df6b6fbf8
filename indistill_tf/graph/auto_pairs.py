"""Automatic pairs: the maps of two models that can be compared."""

import collections
import itertools

import keras

from indistill_tf.errors import UserError
from indistill_tf.graph import pruned_maps
from indistill_tf.graph.blocks import maps_of_size
from indistill_tf.graph.endpoints import feature_maps
from indistill_tf.graph.endpoints import has_named_taps

# What padding and rounding make of one level of resolution, in pixels.
_NEAR = 2


def by_size(
    teacher: keras.Model,
    student: keras.Model,
    pruned: bool,
    resize: bool = False,
) -> list[tuple[str, str]]:
    """Pairs maps of one height and width.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        pruned: bool, whether the teacher needs the student's channels.
        resize: bool, whether sizes may differ by a pixel or two. Defaults to
            False.

    Returns:
        List of `(teacher_layer, student_layer)`, shallow to deep.
    """
    theirs, ours = _grouped(teacher), _grouped(student)
    partners = {size: size for size in ours if size in theirs}
    if resize:
        partners |= near_sizes_of(teacher, student)
    found = {}
    for size, partner in partners.items():
        found |= _last_with_last(theirs[partner], ours[size], pruned)
        for name, tensor in reversed(ours[size]):
            if pruned and name not in found:
                taken = {layer for layer, _ in found.values()}
                pair = _others(teacher, student, partner, name, tensor, taken)
                found |= {name: pair} if pair else {}
    return [found[name] for name in feature_maps(student) if name in found]


def in_order(
    teacher: keras.Model, student: keras.Model
) -> list[tuple[str, str]]:
    """Pairs all maps, from the deepest up, as far as the shorter list goes.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.

    Returns:
        List of `(teacher_layer, student_layer)`, shallow to deep.
    """
    partners = zip(
        reversed(feature_maps(teacher)), reversed(feature_maps(student))
    )
    return list(partners)[::-1]


def near_sizes_of(
    teacher: keras.Model, student: keras.Model
) -> dict[tuple, tuple]:
    """Returns which sizes without an equal are one but for a pixel or two.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.

    Returns:
        Dict from a height and width of the student's maps to one of the
        teacher's, each once, the nearest first and of equally near ones the
        deepest.
    """
    theirs, ours = _grouped(teacher), _grouped(student)
    near = [
        (difference, size, partner)
        for size in reversed([size for size in ours if size not in theirs])
        for partner in reversed([size for size in theirs if size not in ours])
        if (difference := _difference(size, partner)) is not None
    ]
    found = {}
    for _, size, partner in sorted(near, key=lambda item: item[0]):
        if size not in found and partner not in found.values():
            found[size] = partner
    return found


def _difference(size, other):
    """Returns the pixels between two near sizes, else None."""
    if None in (*size, *other):
        return None
    differences = [abs(a - b) for a, b in zip(size, other)]
    # Half the size is the next level of resolution, however small it is.
    halved = any(2 * min(pair) <= max(pair) for pair in zip(size, other))
    return None if halved or max(differences) > _NEAR else sum(differences)


def _grouped(model):
    """Returns the feature maps of each size, shallow to deep."""
    groups = collections.defaultdict(list)
    for name, tensor in feature_maps(model).items():
        groups[tuple(tensor.shape[1:3])].append((name, tensor))
    return dict(groups)


def _last_with_last(theirs, ours, pruned):
    """Pairs maps of one size: of several the last ones match."""
    left, found = list(theirs), {}
    for name, tensor in reversed(ours):
        fitting = [
            index
            for index, (_, target) in enumerate(left)
            if not pruned or _is_as_wide(target, tensor)
        ]
        if fitting:
            found[name] = left[fitting[-1]][0], name
            del left[fitting[-1] :]
    return found


def _others(teacher, student, size, name, tensor, taken):
    """Returns two other maps, where the last ones of a size do not fit."""
    outputs, inside = maps_of_size(student, tuple(tensor.shape[1:3]))
    if has_named_taps([name]):
        outputs, inside = [(name, tensor)], []
    targets, targets_inside = maps_of_size(teacher, size)
    for students, teachers in (
        (outputs, targets),
        (outputs, targets + targets_inside),
        (outputs + inside, targets),
        (outputs + inside, targets + targets_inside),
    ):
        for ours, theirs in itertools.product(students, teachers):
            if theirs[0] not in taken and _can_be_pruned(theirs[1], ours[1]):
                return theirs[0], ours[0]
    return None


def _is_as_wide(target, tensor):
    return target.shape[-1] >= tensor.shape[-1]


def _can_be_pruned(target, tensor):
    if target.shape[-1] <= tensor.shape[-1]:
        return target.shape[-1] == tensor.shape[-1]
    try:
        pruned_maps.channel_scores(target)
    except UserError:
        return False
    return True
