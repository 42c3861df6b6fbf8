"""Heads: what a model's output is, decided in one place for all who read it.

An output is `"softmax"`, the probabilities of classes, of which an image has
one; `"sigmoid"`, probabilities of which each answers a question of its own (a
single one: yes or no; several: which labels an image has); or `"logits"`, of
either. The graph says so where it can be read. Behind a `Lambda`, a layer of
one's own or arithmetic the values say it: rows in 0..1 that add up to 1 are a
softmax. What neither says is asked for.
"""

import dataclasses
import functools
import logging

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.graph.head_reading import KINDS
from indistill_tf.graph.head_reading import LOGITS
from indistill_tf.graph.head_reading import SIGMOID
from indistill_tf.graph.head_reading import SOFTMAX
from indistill_tf.graph.head_reading import kind_in_graph
from indistill_tf.graph.head_reading import kind_in_values
from indistill_tf.graph.head_reading import logits_behind
from indistill_tf.graph.traversal import inputs
from indistill_tf.graph.traversal import operation
from indistill_tf.hints import Tensor

logger = logging.getLogger("indistill_tf")


@dataclasses.dataclass(frozen=True)
class Head:
    """What a model's output is.

    Attributes:
        kind: `"softmax"`, `"sigmoid"` or `"logits"`: what the numbers are.
        sigmoid: bool, whether a logit's probability is its sigmoid, and not
            the softmax of all; None for several logits that do not say.
        logits: symbolic tensor `[N, units]`, the output before its softmax
            or sigmoid.
    """

    kind: str
    sigmoid: bool | None
    logits: Tensor

    @property
    def told(self) -> str:
        """The head as an argument `head=` says it."""
        return SIGMOID if self.sigmoid else self.kind


@keras.saving.register_keras_serializable(package="indistill_tf")
class Declared(layers.Layer):
    """Hands an output on, and says what it is.

    Args:
        head: `"softmax"`, `"sigmoid"` or `"logits"`.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        outputs: tensor `[N, units]`.
    """

    def __init__(self, head: str, **kwargs):
        super().__init__(**{**kwargs, "autocast": False})
        self.head = head

    def call(self, outputs):
        return outputs

    def compute_output_shape(self, shape):
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "head": self.head}


def declared(model: keras.Model, head: str | None) -> keras.Model:
    """Returns a model whose output says what it is.

    Args:
        model: functional `keras.Model`.
        head: `"softmax"`, `"sigmoid"`, `"logits"`, or None where its graph or
            its values are to say it. Of a last layer without activation
            `"sigmoid"` says that its logits are to be read one by one.

    Returns:
        `keras.Model` over the same layers; the model itself for None.

    Raises:
        UserError: if the head is unknown or the output is something else.
    """
    if head is None:
        return model
    if head not in KINDS:
        raise unknown_name("head", head, KINDS)
    output = output_of(model)
    told = Declared(head)(undeclared(output))
    outputs = [told if x is output else x for x in model.outputs]
    model = keras.Model(
        model.inputs[0], outputs if len(outputs) > 1 else told, name=model.name
    )
    decide(model)
    return model


def decide(model: keras.Model) -> Head:
    """Returns what a model's output is.

    Args:
        model: functional `keras.Model`.

    Raises:
        UserError: if neither graph nor values say it, if they contradict what
            was declared, or if the model has several outputs.
    """
    output = output_of(model)
    tensor = undeclared(output)
    told = None if tensor is output else operation(output).head
    kind = kind_in_graph(tensor) or _kind_by_values(model, told)
    _check(model, kind, told, tensor.shape[-1])
    sigmoid = {SOFTMAX: False, SIGMOID: True}.get(told or kind)
    if kind != LOGITS or (sigmoid is None and tensor.shape[-1] == 1):
        sigmoid = kind != SOFTMAX
    named = _named_logits(tensor)
    logits = logits_behind(tensor, kind) if named is None else named
    return Head(kind, sigmoid, logits)


class Heads:
    """The heads of a teacher and a student, each decided when it is asked for.

    Logits that do not say how they are read are read as the other's.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
    """

    def __init__(self, teacher: keras.Model, student: keras.Model):
        self._models = {"teacher": teacher, "student": student}

    @functools.cached_property
    def teacher(self) -> Head:
        """The teacher's head.

        Raises:
            UserError: if it is not known.
        """
        return _read_as(self._own["teacher"](), self._own["student"])

    @functools.cached_property
    def student(self) -> Head:
        """The student's head.

        Raises:
            UserError: if it is not known.
        """
        return _read_as(self._own["student"](), self._own["teacher"])

    @property
    def sigmoid(self) -> bool:
        """Whether both heads' logits are read by their sigmoids.

        Raises:
            UserError: if one is, the other not.
        """
        if self.teacher.sigmoid != self.student.sigmoid:
            teacher, student = self.teacher.told, self.student.told
            raise UserError(
                f"The teacher's output is {teacher!r} and the student's "
                f"{student!r}: the one of classes that exclude each other, the "
                "other not. Build both with one kind of output, or choose a "
                "method that compares embeddings, such as 'pkt'."
            )
        return self.teacher.sigmoid

    @functools.cached_property
    def _own(self):
        return {
            role: functools.cache(functools.partial(decide, model))
            for role, model in self._models.items()
        }


def output_of(model: keras.Model) -> keras.KerasTensor:
    """Returns the one output of a model.

    Args:
        model: functional `keras.Model`.

    Raises:
        UserError: if there are several.
    """
    found = _outputs(model)
    if len(found) > 1:
        names = list(_names(model))
        raise UserError(
            f"Model {model.name!r} has {len(found)} outputs: "
            f"{', '.join(names)}. Say which one counts, such as "
            f"`outputs={names[0]!r}`."
        )
    return found[0]


def chosen(model: keras.Model, name: str | None) -> keras.Model:
    """Returns a model with one of its outputs.

    Args:
        model: functional `keras.Model`.
        name: the key of the output in a dict, or the name of the layer that
            makes it. None, and any name for a model of one output, chooses
            nothing.

    Returns:
        `keras.Model` over the same layers; the model itself where nothing is
        to choose.

    Raises:
        UserError: if there is no output of this name.
    """
    if name is None or len(_outputs(model)) == 1:
        return model
    tensors = {
        **{operation(tensor).name: tensor for tensor in _outputs(model)},
        **_names(model),
    }
    if name not in tensors:
        raise unknown_name(f"output of {model.name!r}", name, _names(model))
    return keras.Model(model.inputs[0], tensors[name], name=model.name)


def undeclared(tensor: Tensor) -> Tensor:
    """Returns an output as it is before it says what it is.

    Args:
        tensor: `KerasTensor`, an output of a functional model.
    """
    if isinstance(operation(tensor), Declared):
        return inputs(tensor)[0]
    return tensor


def _outputs(model):
    # What assistants say beside a teacher is no output of its own.
    return [
        tensor
        for tensor in model.outputs
        if not getattr(operation(tensor), "beside_output", False)
    ]


def _names(model):
    """Returns the outputs by their keys, in a list by their layers' names."""
    names, own = {}, set(map(id, _outputs(model)))
    for path, tensor in keras.tree.flatten_with_path(model.output):
        if id(tensor) not in own:
            continue
        keys = [str(key) for key in path if isinstance(key, str)]
        names[".".join(keys) or operation(tensor).name] = tensor
    return names


def _kind_by_values(model, told):
    if told == LOGITS:
        return told
    kind = kind_in_values(model)
    if kind is None and told != SIGMOID:
        raise UserError(
            f"The output of model {model.name!r} lies in 0..1, but its rows do "
            "not add up to 1, and its last layer does not say what it is. Say "
            'it: `head="sigmoid"` of independent probabilities, or "logits".'
        )
    if kind is None:
        return SIGMOID
    logger.info("Model %r: its output is %s, by its values.", model.name, kind)
    return kind


def _check(model, kind, told, units):
    # Of plain logits the argument says how they are read.
    if told not in (None, kind) and kind != LOGITS:
        raise UserError(
            f"The output of model {model.name!r} is {kind!r}. Received: "
            f"`head={told!r}`. Leave it out, or build the model's end "
            "accordingly."
        )
    if units == 1 and SOFTMAX in (kind, told):
        raise UserError(
            f"Model {model.name!r} has a softmax over one unit, which is 1 for "
            "every image. Build it with a sigmoid, or with two units."
        )


def _named_logits(tensor):
    """Returns the vector of a layer `"logits"` that an output follows from."""
    shape = tensor.shape
    while True:
        before = inputs(tensor)
        if operation(tensor).name == "logits" and tensor.shape == shape:
            return tensor if kind_in_graph(tensor) == LOGITS else None
        if len(before) != 1:
            return None
        tensor = before[0]


def _read_as(own, other):
    """Returns a head; logits that do not say are read as the other's."""
    if own.sigmoid is not None:
        return own
    try:
        sigmoid = bool(other().sigmoid)
    except UserError:
        sigmoid = False
    return dataclasses.replace(own, sigmoid=sigmoid)
