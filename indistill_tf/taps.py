"""Taps: where features are read from a model, and how two models are paired.

A tap is the output of a layer of a functional model. Nothing is hooked: a view
is a new `keras.Model` over the same layers that ends at the tapped tensors, so
whatever lies beyond the deepest one is not computed.
"""

import collections
import dataclasses
import re

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

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


def endpoint(model, name):
    """Returns the symbolic output of a layer.

    Args:
        model: functional `keras.Model`.
        name: a layer's name. In a model without layers of these names,
            `"logits"` is the model's output, `"embedding"` the input of its
            last dense layer, and `"unpooled"` the map whose global average
            the embedding is, or the embedding itself where it is none.

    Returns:
        A `KerasTensor`, for feature maps `[N, H, W, C]`.

    Raises:
        UserError: if there is no such endpoint; the message lists what
            exists.
    """
    names = [layer.name for layer in model.layers]
    if name in names:
        return _output(model.get_layer(name))
    if name == "logits":
        return _logits(model)
    if name == "embedding" and (last := last_dense(model)) is not None:
        return last._inbound_nodes[0].input_tensors[0]
    if name == "unpooled":
        return _unpooled(endpoint(model, "embedding"))
    maps = [item.name for item in feature_maps(model)]
    raise UserError(
        f"{_label(model)} has no layer {name!r}. Its feature maps are: "
        f"{', '.join(maps) or 'none'}. All its layers: {', '.join(names)}."
    )


def feature_maps(model):
    """Returns the layers whose feature maps are worth matching, in order.

    These are the layers named `tap_<i>`; in a model without such names, the
    last layer at each spatial resolution.

    Args:
        model: functional `keras.Model`.

    Returns:
        List of layers, shallow to deep.
    """
    maps = [
        layer
        for layer in model.layers
        if not isinstance(layer, layers.InputLayer)
        and len(_output_shape(layer)) == 4
    ]
    named = [layer for layer in maps if re.fullmatch(r"tap_\d+", layer.name)]
    if named:
        return sorted(named, key=lambda layer: int(layer.name[4:]))
    last = {}
    for layer in maps:
        size = _output_shape(layer)[1:3]
        last.pop(size, None)
        last[size] = layer
    return list(last.values())


def last_dense(model):
    """Returns a model's last dense layer, its classifier, or None.

    Args:
        model: functional `keras.Model`.
    """
    for layer in reversed(model.layers):
        if isinstance(layer, layers.Dense):
            return layer
    return None


def pair(teacher, student, taps="auto", pruned=True):
    """Pairs feature maps of two models, shallow to deep.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        taps: `"auto"` pairs the feature maps of equal height and width, the
            deepest of a size with the deepest, and where no sizes agree and
            nothing is pruned, all maps in order, the deepest with the
            deepest; or a list of `(teacher_layer, student_layer)`. Defaults
            to `"auto"`.
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
        pairs = _pair_by_size(teacher, student)
        if not pairs and not pruned:
            pairs = _pair_in_order(teacher, student)
        if not pairs:
            raise _unpaired(teacher, student)
    else:
        pairs = [Tap(*names) for names in taps]
    for tap in pairs:
        _check(tap, teacher, student, pruned)
    return pairs


def choose(pairs, choice):
    """Groups pairs as a method compares them: one group, one loss.

    Args:
        pairs: list of `Tap`, shallow to deep.
        choice: `"all"`, each pair by itself; `"middle"`, the middle one alone
            (the second of three and of four); `"last"`, the deepest alone; or
            `"consecutive"`, each pair with the next one.

    Returns:
        List of tuples of `Tap`.

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
            f"or more. Received: {pairs}. Name more pairs of layers (--taps)."
        )
    return list(zip(pairs, pairs[1:]))


def view(model, outputs):
    """Returns the part of a model that computes these endpoints.

    Args:
        model: functional `keras.Model`.
        outputs: dict of symbolic tensors of the model, by name; the view
            returns the computed tensors under the same names.
    """
    # Not `model.input`: a Sequential has none, or another, once called.
    return keras.Model(model.inputs[0], outputs)


def ends_in_softmax(model):
    """Returns whether a model's output is probabilities, not logits.

    Args:
        model: functional `keras.Model`.
    """
    operation = model.outputs[0]._keras_history.operation
    activation = getattr(operation, "activation", None)
    return (
        isinstance(operation, layers.Softmax)
        or activation is keras.activations.softmax
    )


def describe(tap, teacher, student, pruned=True):
    """Returns one line on a pair: layers, sizes, widths and pruning rate.

    Args:
        tap: `Tap`.
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        pruned: bool, whether the teacher's map is pruned. Defaults to True.
    """
    teacher_shape = endpoint(teacher, tap.teacher_layer).shape
    student_shape = endpoint(student, tap.student_layer).shape
    text = (
        f"{tap.teacher_layer} {_size(teacher_shape)} -> {tap.student_layer} "
        f"{_size(student_shape)}"
    )
    if not pruned:
        return text
    rate = 1 - student_shape[-1] / teacher_shape[-1]
    return f"{text}, pruning rate {rate:.3g}"


def _pair_by_size(teacher, student):
    by_size = collections.defaultdict(list)
    for layer in feature_maps(teacher):
        by_size[_output_shape(layer)[1:3]].append(layer)
    pairs = []
    # From the deepest up: of several maps of one size the last ones match.
    for layer in reversed(feature_maps(student)):
        partners = by_size[_output_shape(layer)[1:3]]
        if partners:
            pairs.insert(0, Tap(partners.pop().name, layer.name))
    return pairs


def _pair_in_order(teacher, student):
    # From the deepest up, as far as the shorter list goes.
    partners = zip(
        reversed(feature_maps(teacher)), reversed(feature_maps(student))
    )
    return [Tap(first.name, second.name) for first, second in partners][::-1]


def _unpaired(teacher, student):
    return UserError(
        f"No feature map of {_label(teacher)} ({_list_maps(teacher)}) has "
        f"the height and width of one of {_label(student)} "
        f"({_list_maps(student)}). Name pairs of equal size in `taps`, or "
        "distil through an auxiliary teacher of the student's own shape "
        "(--auxiliary=auto, indistill_tf.auxiliary.widen)."
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
            "(--auxiliary=auto)."
        )
    if pruned and student_shape[-1] > teacher_shape[-1]:
        raise UserError(
            f"The student is wider than the teacher: {pair_text}. Pruning can "
            "only remove channels; use a narrower student, another pair of "
            "layers, or a wider auxiliary teacher (--auxiliary=auto)."
        )


def _unpooled(embedding):
    operation, node_index, _ = embedding._keras_history
    if isinstance(operation, layers.GlobalAveragePooling2D):
        return operation._inbound_nodes[node_index].input_tensors[0]
    return embedding


def _logits(model):
    if ends_in_softmax(model):
        raise UserError(
            f"{_label(model)} ends in a softmax, so it has no logits to "
            "distil. Build it with a last layer without activation "
            "(keras.applications: classifier_activation=None)."
        )
    return model.outputs[0]


def _output(layer):
    # Not `layer.output`: that fails once the layer was called a second time,
    # for example by a model that wraps this one.
    return layer._inbound_nodes[0].output_tensors[0]


def _output_shape(layer):
    return tuple(_output(layer).shape)


def _list_maps(model):
    return ", ".join(
        f"{layer.name} {_size(_output_shape(layer))}"
        for layer in feature_maps(model)
    )


def _size(shape):
    return " x ".join(str(size) for size in shape[1:])


def _label(model):
    return f"model {model.name!r}"
