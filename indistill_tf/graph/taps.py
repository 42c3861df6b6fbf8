"""Taps: which feature maps of two models are compared."""

import collections
import dataclasses
from collections.abc import Sequence

import keras

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.graph import pruned_maps
from indistill_tf.graph.endpoints import endpoint
from indistill_tf.graph.endpoints import feature_maps

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
) -> list[Tap]:
    """Pairs feature maps of two models, shallow to deep.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        taps: `"auto"` pairs the feature maps of equal height and width, the
            deepest of a size with the deepest, if `pruned` only where the
            teacher has no fewer channels; where no sizes agree and nothing is
            pruned, it pairs all maps in order, the deepest with the deepest.
            Or a list of `(teacher_layer, student_layer)`. Defaults to
            `"auto"`.
        pruned: bool, whether the teacher's maps are to be pruned to the
            student's widths. Sizes must agree then. Defaults to True.

    Returns:
        List of `Tap`.

    Raises:
        UserError: if a layer does not exist, is no feature map or has no
            partner, or if a map to be pruned differs in height and width from
            the student's or has fewer channels.
    """
    if taps == "auto":
        pairs = _pair_by_size(teacher, student, pruned)
        if not pairs and not pruned:
            pairs = _pair_in_order(teacher, student)
        if not pairs:
            raise _unpaired(teacher, student)
    else:
        pairs = [Tap(*names) for names in taps]
    for tap in pairs:
        _check(tap, teacher, student, pruned)
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


def describe(
    pairs: list[Tap],
    teacher: keras.Model,
    student: keras.Model,
    pruned: bool = True,
) -> list[str]:
    """Returns what is compared, a line a pair, and what is left out and why.

    Args:
        pairs: list of `Tap`.
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        pruned: bool, whether the teacher's maps are pruned. Defaults to True.

    Returns:
        List of strings: layers, sizes, widths, the pruning rate, and whether
        the teacher's layers were rebuilt narrower or its map is sliced.
    """
    lines = [_describe_pair(tap, teacher, student, pruned) for tap in pairs]
    paired = {tap.student_layer for tap in pairs}
    sizes = {
        tuple(tensor.shape[1:3]): tensor
        for tensor in feature_maps(teacher).values()
    }
    for name, tensor in feature_maps(student).items():
        if name not in paired:
            partner = sizes.get(tuple(tensor.shape[1:3]))
            reason = "the teacher has no map of this size"
            if partner is not None:
                reason = f"the teacher's map has {partner.shape[-1]} channels"
            lines.append(f"left out: {name} {_size(tensor.shape)}, {reason}")
    return lines


def _describe_pair(tap, teacher, student, pruned):
    target = endpoint(teacher, tap.teacher_layer)
    feature = endpoint(student, tap.student_layer)
    text = (
        f"{tap.teacher_layer} {_size(target.shape)} -> {tap.student_layer} "
        f"{_size(feature.shape)}"
    )
    if not pruned:
        return text
    width = feature.shape[-1]
    rate = 1 - width / target.shape[-1]
    way = pruned_maps.describe(target, width)
    return f"{text}, pruning rate {rate:.3g}, {way}"


def _pair_by_size(teacher, student, pruned):
    by_size = collections.defaultdict(list)
    for name, tensor in feature_maps(teacher).items():
        by_size[tuple(tensor.shape[1:3])].append((name, tensor))
    pairs = []
    # From the deepest up: of several maps of one size the last ones match.
    for name, tensor in reversed(feature_maps(student).items()):
        partners = by_size[tuple(tensor.shape[1:3])]
        if pruned:
            partners = [
                partner
                for partner in partners
                if partner[1].shape[-1] >= tensor.shape[-1]
            ]
        if partners:
            by_size[tuple(tensor.shape[1:3])] = partners[:-1]
            pairs.insert(0, Tap(partners[-1][0], name))
    return pairs


def _pair_in_order(teacher, student):
    # From the deepest up, as far as the shorter list goes.
    partners = zip(
        reversed(feature_maps(teacher)), reversed(feature_maps(student))
    )
    return [Tap(*names) for names in partners][::-1]


def _unpaired(teacher, student):
    return UserError(
        f"No feature map of model {teacher.name!r} ({_list_maps(teacher)}) has "
        "the height and width and at least the channels of one of model "
        f"{student.name!r} ({_list_maps(student)}). Name pairs that fit in "
        "`taps`, or distil through an auxiliary teacher of the student's own "
        'shape (`auxiliary="auto"`, indistill_tf.auxiliary.widen).'
    )


def _check(tap, teacher, student, pruned):
    teacher_shape = endpoint(teacher, tap.teacher_layer).shape
    student_shape = endpoint(student, tap.student_layer).shape
    pair_text = (
        f"teacher layer {tap.teacher_layer!r} {_size(teacher_shape)} and "
        f"student layer {tap.student_layer!r} {_size(student_shape)}"
    )
    if len(teacher_shape) != 4 or len(student_shape) != 4:
        raise UserError(
            f"Taps must be feature maps (H, W, C). Received: {pair_text}."
        )
    if pruned and tuple(teacher_shape[1:3]) != tuple(student_shape[1:3]):
        raise UserError(
            f"Heights and widths differ: {pair_text}. Pair layers of equal "
            f"size (teacher: {_list_maps(teacher)}; student: "
            f"{_list_maps(student)}) or use an auxiliary teacher "
            '(`auxiliary="auto"`).'
        )
    if pruned and student_shape[-1] > teacher_shape[-1]:
        raise UserError(
            f"The student is wider than the teacher: {pair_text}. Pruning can "
            "only remove channels; use a narrower student, another pair of "
            'layers, or a wider auxiliary teacher (`auxiliary="auto"`).'
        )


def _list_maps(model):
    return ", ".join(
        f"{name} {_size(tensor.shape)}"
        for name, tensor in feature_maps(model).items()
    )


def _size(shape):
    return " x ".join(str(size) for size in shape[1:])
