"""Counterparts: which tensor of a teacher each layer of a student stands for.

Two networks are walked side by side, from where they are known to correspond
(the paired maps, the embeddings, the class scores) towards the image, as long
as the same kinds of layers follow one another. So in a narrower copy of the
teacher every layer has its counterpart, and in another student the layer that
computes a paired map has.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.graph import pruned_maps
from indistill_tf.graph import pruning
from indistill_tf.graph import traversal

_LINEAR = (layers.Conv2D, layers.Dense)

_ACTIVATIONS = (layers.Activation, layers.LeakyReLU, layers.ReLU)

# Their inputs have the channels of their output, one by one.
_CHANNELWISE = (
    *_ACTIVATIONS,
    *traversal.GLOBAL_POOLING,
    layers.Add,
    layers.AveragePooling2D,
    layers.BatchNormalization,
    layers.DepthwiseConv2D,
    layers.Dropout,
    layers.MaxPooling2D,
    layers.Multiply,
    layers.ZeroPadding2D,
)


@dataclasses.dataclass(frozen=True)
class Counterpart:
    """A layer of the student, and what of the teacher it stands for.

    Attributes:
        layer: the student's `Conv2D`, `Dense`, or a `BatchNormalization` that
            follows neither of them.
        batch_norm: the student's `BatchNormalization` right behind, or None.
        source: symbolic tensor of the student, what `layer` reads.
        target: symbolic tensor of the teacher, before an activation.
        kept: int array, the channels of `target` that the student has.
    """

    layer: layers.Layer
    batch_norm: layers.BatchNormalization | None
    source: keras.KerasTensor
    target: keras.KerasTensor
    kept: np.ndarray


def counterparts(
    teacher: keras.Model,
    student: keras.Model,
    taps: list,
    ranking: Callable = pruned_maps.channel_scores,
) -> list[Counterpart]:
    """Returns the student's layers with a counterpart in the teacher.

    Of a wider teacher the channels with the highest scores are kept, as
    pruning keeps them. Maps that are added to each other have their channels
    in common: those of the deepest sum.

    Args:
        teacher: functional `keras.Model`, without models inside.
        student: functional `keras.Model`, without models inside.
        taps: list of `indistill_tf.taps.Tap`, the paired maps.
        ranking: function from a symbolic map to the score of each channel,
            see `indistill_tf.rankings`. Defaults to their l1 norms.

    Returns:
        List of `Counterpart`, each behind those that its source follows from.

    Raises:
        UserError: if no layer has a counterpart.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003),
          Algorithm 1
    """
    walk = _Walk(ranking)
    for feature, target in _known(teacher, student, taps):
        walk.pair(feature, target)
    # All that reads a tensor comes before it: a shortcut's channels are known.
    for tensor in reversed(list(traversal.tensors(student))):
        walk.visit(tensor)
    if not walk.found:
        raise UserError(
            f"No convolution or dense layer of model {student.name!r} has a "
            f"counterpart in model {teacher.name!r}, so that none can be "
            "fitted in closed form. Choose a warm-up by gradients "
            "('indistill'), or a teacher of the student's own shape "
            '(`auxiliary="auto"`, indistill_tf.auxiliary.widen).'
        )
    return list(reversed(walk.found.values()))


def _known(teacher, student, taps):
    """Yields the tensors that are known to correspond."""
    for tap in taps:
        yield (
            endpoints.endpoint(student, tap.student_layer),
            endpoints.endpoint(teacher, tap.teacher_layer),
        )
    heads = [endpoints.classifier(model) for model in (student, teacher)]
    if None in heads:
        return
    scores = [
        traversal.outputs(model)[head.name]
        for model, head in zip((student, teacher), heads)
    ]
    # Other classes are no channels to be left out.
    if scores[0].shape[-1] == scores[1].shape[-1]:
        yield scores
    yield [traversal.inputs(tensor)[0] for tensor in scores]


def describe(found: list[Counterpart], student: keras.Model) -> str:
    """Returns which of a student's layers have a counterpart, as a line.

    Args:
        found: list of `Counterpart`.
        student: functional `keras.Model`.
    """
    fitted = {part.layer.name: part for part in found}
    behind = {part.batch_norm.name for part in found if part.batch_norm}
    left = [
        layer.name
        for layer in student.layers
        if layer.weights and layer.name not in {*fitted, *behind}
    ]
    names = ", ".join(
        f"{name} ({len(part.kept)} of {part.target.shape[-1]} channels)"
        for name, part in fitted.items()
    )
    rest = f"; others stay as they are: {', '.join(left)}" if left else ""
    return f"fitted in closed form: {names}{rest}"


class _Walk:
    """Pairs of tensors of two networks, found from the deepest on."""

    def __init__(self, ranking):
        self.found = {}
        self._ranking = ranking
        self._partners, self._kept = {}, {}

    def pair(self, tensor, partner, kept=None):
        """Notes that two tensors correspond, if their shapes allow it."""
        if partner is None or len(tensor.shape) != len(partner.shape):
            return
        narrower = tensor.shape[-1] <= partner.shape[-1]
        if tensor.shape[1:-1] != partner.shape[1:-1] or not narrower:
            return
        if self._partners.setdefault(id(tensor), partner) is not partner:
            return
        if kept is not None and len(kept) == tensor.shape[-1]:
            self._kept.setdefault(id(tensor), kept)

    def visit(self, tensor):
        """Pairs what a tensor of the student was computed from."""
        partner = self._partners.get(id(tensor))
        if partner is None:
            return
        layer = traversal.operation(tensor)
        if isinstance(layer, layers.BatchNormalization):
            self._visit_batch_norm(tensor, partner, layer)
        elif _is_linear(layer):
            self._visit_linear(tensor, partner, None, tensor)
        elif isinstance(layer, _ACTIVATIONS):
            before = _before_activation(partner)
            (source,) = traversal.inputs(tensor)
            self.pair(source, before, self._channels(tensor, partner))
        elif type(layer) is type(traversal.operation(partner)):
            self._visit_alike(tensor, partner, layer)

    def _visit_batch_norm(self, tensor, partner, layer):
        (source,) = traversal.inputs(tensor)
        if _is_linear(traversal.operation(source)):
            self._visit_linear(source, partner, layer, tensor)
        elif _is_batch_norm(partner):
            kept = self._channels(tensor, partner)
            self._find(layer, None, source, partner, kept)
            self._visit_alike(tensor, partner, layer)

    def _visit_linear(self, tensor, partner, batch_norm, output):
        layer = traversal.operation(tensor)
        (source,) = traversal.inputs(tensor)
        kept = self._channels(output, partner)
        if layer.activation is not keras.activations.linear:
            partner = _before_activation(partner)
        if partner is None:
            return
        self._find(layer, batch_norm, source, partner, kept)
        if _is_batch_norm(partner):
            (partner,) = traversal.inputs(partner)
        if type(traversal.operation(partner)) is type(layer):
            self.pair(source, traversal.inputs(partner)[0])

    def _visit_alike(self, tensor, partner, layer):
        kept = None
        if isinstance(layer, _CHANNELWISE):
            kept = self._channels(tensor, partner)
        for pair in zip(traversal.inputs(tensor), traversal.inputs(partner)):
            self.pair(*pair, kept)

    def _find(self, layer, batch_norm, source, target, kept):
        frozen = not layer.trainable or batch_norm and not batch_norm.trainable
        if frozen or kept is None:
            return
        self.found.setdefault(
            layer.name, Counterpart(layer, batch_norm, source, target, kept)
        )

    def _channels(self, tensor, partner):
        """Returns the teacher's channels that a tensor of the student has."""
        if (kept := self._kept.get(id(tensor))) is not None:
            return kept
        width = tensor.shape[-1]
        if width == partner.shape[-1]:
            return np.arange(width)
        try:
            return pruning.highest(self._ranking(partner), width)
        except UserError:
            # No filters to rank: the layer has no counterpart.
            return None


def _is_linear(layer):
    return isinstance(layer, _LINEAR) and getattr(layer, "groups", 1) == 1


def _is_batch_norm(tensor):
    return isinstance(traversal.operation(tensor), layers.BatchNormalization)


def _before_activation(tensor):
    """Returns what an activation was applied to, or None without one."""
    layer = traversal.operation(tensor)
    if isinstance(layer, _ACTIVATIONS):
        return traversal.inputs(tensor)[0]
    if not _is_linear(layer) or layer.activation is keras.activations.linear:
        return None
    config = {**pruning.frozen_config(layer), "activation": "linear"}
    copy = type(layer).from_config(config)
    (source,) = traversal.inputs(tensor)
    before = copy(source)
    copy.set_weights(layer.get_weights())
    return before
