"""Terms: the weighed losses of a method between two networks.

Each kind of term knows its weight in an epoch, what it reads of both networks
and its value in a step.
"""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from indistill_tf.distribution import gathered
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor


@dataclasses.dataclass(frozen=True)
class EpochWeights:
    """What a method's schedule says of an epoch.

    Attributes:
        preparing: bool, whether losses are prepared on the teacher alone.
        taps: floats, one for each tap.
        task: float.
    """

    preparing: bool
    taps: tuple
    task: float


@dataclasses.dataclass(frozen=True)
class Term:
    """One weighed loss: its name, and what it reads in both networks.

    Attributes:
        name: string, as in the logs.
        teacher: the teacher's symbolic tensor, a tuple of them, or None.
        student: the student's, a tuple of them, or None.
        reads: tuple of strings, what the teacher's tensors are called, the
            same whatever the student and the run.
    """

    name: str
    teacher: object = None
    student: object = None
    reads: tuple = ()

    def weight_in(self, epoch):
        """Returns the term's weight in an epoch.

        Args:
            epoch: `EpochWeights`.
        """
        raise NotImplementedError

    def value(self, target, feature, batch):
        """Returns the loss of a step, before its weight.

        Args:
            target: what `teacher` is in the step, or None.
            feature: what `student` is in the step, or None.
            batch: `Batch`.
        """
        raise NotImplementedError

    @property
    def trainable_variables(self):
        """The variables that the term trains beside the student's."""
        return []

    @property
    def compared(self):
        """The layers that the term reads in both networks, as text."""
        students = () if self.student is None else _tuple(self.student)
        names = {
            "teacher": self.reads,
            "student": [x._keras_history.operation.name for x in students],
        }
        return " -> ".join(
            f"{side}'s {' and '.join(layers)}"
            for side, layers in names.items()
            if layers
        )

    @property
    def endpoints(self):
        """Dict from the names in `reads` to the teacher's tensors."""
        if self.teacher is None:
            return {}
        return dict(zip(self.reads, _tuple(self.teacher), strict=True))

    def given(self, targets):
        """Returns what the term reads of targets that the data bring.

        Args:
            targets: dict from names as in `reads` to tensors, of any float
                dtype.

        Returns:
            Tensor or tuple, of the teacher's shapes and dtypes.

        Raises:
            UserError: if one is missing.
        """
        for name in self.reads:
            if name not in targets:
                raise UserError(
                    f"The data bring the teacher's targets without {name!r}, "
                    f"which {self.name!r} needs. Received: "
                    f"{', '.join(targets) or 'none'}."
                )
        tensors = tuple(
            ops.cast(tf.ensure_shape(targets[name], like.shape), like.dtype)
            for name, like in self.endpoints.items()
        )
        return tensors if isinstance(self.teacher, tuple) else tensors[0]


@dataclasses.dataclass(frozen=True)
class Preparation(Term):
    """A tap's loss in the epochs before the student learns.

    Attributes:
        loss: the tap's `DistillationLoss`.
    """

    loss: keras.layers.Layer = None

    def weight_in(self, epoch):
        return float(epoch.preparing)

    def value(self, target, feature, batch):
        return self.loss.prepare(target, batch.labels)

    @property
    def trainable_variables(self):
        return self.loss.preparation_variables


@dataclasses.dataclass(frozen=True)
class Comparison(Term):
    """A distillation loss between endpoints of both networks.

    Attributes:
        loss: `DistillationLoss`.
        whole_batch: bool, whether each replica sees the batch of all.
    """

    loss: keras.layers.Layer = None
    whole_batch: bool = False

    def value(self, target, feature, batch):
        more = batch.chosen(self.loss.needs)
        if self.whole_batch:
            target, feature, more = gathered((target, feature, more))
        return self.loss(target, feature, **more)

    @property
    def trainable_variables(self):
        return self.loss.student_variables

    def build(self):
        """Builds what the loss trains.

        A symbolic call does it, so that the optimizer, created before the
        first batch, owns the variables.
        """
        more = {
            name: keras.KerasTensor((None,), "int32")
            for name in self.loss.needs
        }
        self.loss(self.teacher, self.student, **more)


@dataclasses.dataclass(frozen=True)
class TapTerm(Comparison):
    """The loss of one tap, or of several together.

    Attributes:
        number: int, which of the method's taps, counted from 1.
    """

    number: int = 1

    def weight_in(self, epoch):
        return epoch.taps[self.number - 1]


@dataclasses.dataclass(frozen=True)
class TaskTerm(Comparison):
    """What the student learns at its end.

    Attributes:
        task_weight: float, the method's, of all its tasks.
        weight: float, the task's own among several.
    """

    task_weight: float = 1.0
    weight: float = 1.0

    def weight_in(self, epoch):
        return epoch.task * self.task_weight * self.weight


@dataclasses.dataclass(frozen=True)
class SupervisedTerm(Term):
    """The loss of the student's output against the labels.

    Attributes:
        weight: float.
        loss: function from labels, outputs and sample weights to a scalar.
    """

    weight: float = 0.0
    loss: object = None

    def weight_in(self, epoch):
        return self.weight if epoch.task else 0.0

    def value(self, target, feature, batch):
        return self.loss(batch.labels, feature, batch.sample_weight)


def _tuple(one_or_more: Tensor | tuple) -> tuple:
    return one_or_more if isinstance(one_or_more, tuple) else (one_or_more,)
