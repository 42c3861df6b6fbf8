"""Taps: which feature maps of two models are compared."""

import dataclasses
from collections.abc import Sequence

import keras

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.graph import auto_pairs
from indistill_tf.graph.endpoints import endpoint
from indistill_tf.graph.pairing_text import describe
from indistill_tf.graph.pairing_text import list_maps
from indistill_tf.graph.pairing_text import size_text

__all__ = ["CHOICES", "Tap", "choose", "describe", "pair"]

CHOICES = ("all", "middle", "last", "consecutive")


@dataclasses.dataclass(frozen=True)
class Tap:
    """One pair of feature maps.

    Attributes:
        teacher_layer: name of the teacher's layer.
        student_layer: name of the student's layer.
    """

    teacher_layer: str
    student_layer: str


def pair(
    teacher: keras.Model,
    student: keras.Model,
    taps: str | Sequence[tuple[str, str]] = "auto",
    pruned: bool = True,
    resize: bool = False,
) -> list[Tap]:
    """Pairs feature maps of two models, shallow to deep.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        taps: `"auto"` pairs the feature maps of equal height and width, the
            deepest of a size with the deepest. If `pruned`, the teacher must
            have no fewer channels; where it has, other maps of that size are
            taken, outputs of blocks first, unless the layers are named
            `tap_<i>`. Where no sizes agree and nothing is pruned, it pairs all
            maps in order, the deepest with the deepest. Or a list of
            `(teacher_layer, student_layer)`. Defaults to `"auto"`.
        pruned: bool, whether the teacher's maps are to be pruned to the
            student's widths. Defaults to True.
        resize: bool, whether the teacher's maps may be resized to the
            student's. `"auto"` then pairs sizes too that differ by at most two
            pixels. With False the sizes of pruned maps must agree. Defaults to
            False.

    Returns:
        List of `Tap`.

    Raises:
        UserError: if a layer does not exist, is no feature map or has no
            partner, or if a map to be pruned has fewer channels than the
            student's, or another height and width that may not be changed.
    """
    if taps == "auto":
        pairs = auto_pairs.by_size(teacher, student, pruned, resize)
        if not pairs and not pruned:
            pairs = auto_pairs.in_order(teacher, student)
        if not pairs:
            raise _unpaired(teacher, student, resize)
    else:
        pairs = taps
    pairs = [Tap(*names) for names in pairs]
    for tap in pairs:
        _check(tap, teacher, student, pruned, resize)
    return pairs


def choose(pairs: list[Tap], choice: str) -> list[tuple[Tap, ...]]:
    """Groups pairs as a method compares them: one group, one loss.

    Args:
        pairs: list of `Tap`, shallow to deep.
        choice: `"all"`, each pair by itself; `"middle"`, the middle one alone
            (the second of three and of four); `"last"`, the deepest alone; or
            `"consecutive"`, each pair with the next one.

    Returns:
        List of tuples of `Tap`.

    Example:

    >>> pairs = [Tap(f"tap_{i}", f"tap_{i}") for i in (1, 2, 3)]
    >>> choose(pairs, "middle")
    [(Tap(teacher_layer='tap_2', student_layer='tap_2'),)]

    Raises:
        UserError: if the choice is unknown, or consecutive pairs are wanted of
            a single one.
    """
    if choice not in CHOICES:
        raise unknown_name("choice of taps", choice, CHOICES)
    if choice == "middle":
        return [(pairs[(len(pairs) - 1) // 2],)]
    if choice == "last":
        return [(pairs[-1],)]
    if choice == "all":
        return [(tap,) for tap in pairs]
    if len(pairs) < 2:
        raise UserError(
            "The method relates each tapped layer to the next and needs two "
            f"or more. Received: {pairs}. Name more pairs of layers in `taps`."
        )
    return list(zip(pairs, pairs[1:]))


def _unpaired(teacher, student, resize):
    near = ""
    if not resize and auto_pairs.near_sizes_of(teacher, student):
        near = "let sizes differ by a pixel or two (`taps_resize=True`), "
    return UserError(
        f"No feature map of model {teacher.name!r} ({list_maps(teacher)}) has "
        "the height and width and at least the channels of one of model "
        f"{student.name!r} ({list_maps(student)}). Name pairs that fit in "
        f"`taps`, {near}or distil through an auxiliary teacher of the "
        'student\'s own shape (`auxiliary="auto"`, '
        "indistill_tf.auxiliary.widen)."
    )


def _check(tap, teacher, student, pruned, resize):
    teacher_shape = endpoint(teacher, tap.teacher_layer).shape
    student_shape = endpoint(student, tap.student_layer).shape
    pair_text = (
        f"teacher layer {tap.teacher_layer!r} {size_text(teacher_shape)} and "
        f"student layer {tap.student_layer!r} {size_text(student_shape)}"
    )
    if len(teacher_shape) != 4 or len(student_shape) != 4:
        raise UserError(
            f"Taps must be feature maps (H, W, C). Received: {pair_text}."
        )
    same_size = tuple(teacher_shape[1:3]) == tuple(student_shape[1:3])
    if pruned and not (same_size or resize):
        raise UserError(
            f"Heights and widths differ: {pair_text}. Pair layers of equal "
            f"size (teacher: {list_maps(teacher)}; student: "
            f"{list_maps(student)}), have the teacher's map resized "
            "(`taps_resize=True`), or use an auxiliary teacher "
            '(`auxiliary="auto"`).'
        )
    if pruned and student_shape[-1] > teacher_shape[-1]:
        raise UserError(
            f"The student is wider than the teacher: {pair_text}. Pruning can "
            "only remove channels; use a narrower student, another pair of "
            'layers, or a wider auxiliary teacher (`auxiliary="auto"`).'
        )
