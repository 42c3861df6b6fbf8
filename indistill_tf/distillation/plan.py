"""Stages: which losses an epoch computes, and how much of the networks."""

import dataclasses

import keras

from indistill_tf import losses
from indistill_tf.distillation.fused import fused
from indistill_tf.distillation.terms import check_networks
from indistill_tf.distillation.terms import make_terms
from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.graph import taps as taps_lib


@dataclasses.dataclass
class Stage:
    """What one set of active losses needs: both networks, truncated.

    Attributes:
        terms: tuple of `(index, Term)`, the active ones.
        supervised: bool, whether the student's output is computed too.
        teacher: view from images to a dict by term, or None if no term asks.
        student: view from images to a dict by term, with `supervised`, or
            None while a loss is prepared.
        train_function: the compiled step, once there is one.
    """

    terms: tuple
    supervised: bool
    teacher: keras.Model | None
    student: keras.Model | None
    train_function: object = None

    @property
    def trainable_variables(self):
        """The variables that the stage trains; all have gradients."""
        variables = list(
            self.student.trainable_variables if self.student else []
        )
        for _, term in self.terms:
            variables += term.trainable_variables
        return variables

    def given(self, targets):
        """Returns what the teacher's view would, of targets in the data.

        Args:
            targets: dict from names, see `Term.reads`, to tensors.
        """
        return {term.name: term.given(targets) for _, term in self.terms}


class Plan:
    """A method between two networks: its losses, and the stages they make.

    It is a plain object, into which Keras does not look when it collects or
    saves the weights of a model: so the teacher stays a guest.

    Args:
        method: `indistill_tf.methods.Method`.
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        taps: see `Distiller`. Defaults to `"auto"`.
        train_labels: see `Distiller`. Defaults to None.
        replicas: int, the number of replicas. Defaults to 1.

    Raises:
        UserError: if networks, taps and losses do not fit together.

    Attributes:
        taps: list of `indistill_tf.taps.Tap`, the paired layers.
        terms: list of `indistill_tf.terms.Term`.
        losses: list of `DistillationLoss`, one for each tap and task.
        num_taps: int, the number of losses at taps.
        stages: dict from the indices of active losses to `Stage`, those met
            so far.
    """

    def __init__(
        self,
        method,
        teacher,
        student,
        taps="auto",
        train_labels=None,
        replicas=1,
    ):
        check_networks(teacher, student)
        self.method = method
        self.teacher = teacher = endpoints.flattened(teacher)
        self.student = student = endpoints.flattened(student)
        self.taps, groups = [], []
        if method.tap:
            self.taps = taps_lib.pair(teacher, student, taps, method.pruned)
            groups = taps_lib.choose(self.taps, method.taps)
        setting = losses.Setting(
            teacher, student, train_labels=train_labels, replicas=replicas
        )
        self.terms = make_terms(method, groups, setting)
        self.losses = [
            term.loss for term in self.terms if term.student is not None
        ]
        self.num_taps = len(groups)
        self.stages = {}

    @property
    def pairing(self):
        """The pairs of layers and what is left out, as text, a line each."""
        return "\n".join(
            taps_lib.describe(
                self.taps, self.teacher, self.student, self.method.pruned
            )
        )

    def weights(self, epoch):
        """Returns the weight of each term and, last, of the supervised loss.

        Args:
            epoch: int, counted from 0.
        """
        epoch -= self.method.preparation
        if epoch < 0:
            prepared = [term.kind == "preparation" for term in self.terms]
            return [float(weight) for weight in prepared] + [0.0]
        *taps, task = self.method.schedule.weights(epoch, self.num_taps)
        scheduled = iter(taps)
        of_kind = {
            "preparation": lambda: 0.0,
            "tap": lambda: next(scheduled),
            "task": lambda: task * self.method.task_weight,
        }
        weights = [of_kind[term.kind]() * term.weight for term in self.terms]
        return weights + [self.method.supervised_weight if task else 0.0]

    def active(self, epoch):
        """Returns the indices of the losses that an epoch computes.

        Args:
            epoch: int, counted from 0.
        """
        weights = enumerate(self.weights(epoch))
        return tuple(index for index, weight in weights if weight > 0)

    def targets(self, active):
        """Returns the teacher's tensors that losses read.

        Args:
            active: tuple of indices of `terms`, which may end in the
                supervised loss.

        Returns:
            Dict from names, see `Term.reads`, to symbolic tensors.
        """
        found = {}
        for index in active:
            if index < len(self.terms):
                found |= self.terms[index].endpoints
        return found

    def check_cacheable(self):
        """Checks that a target is a function of one image alone.

        Raises:
            UserError: if not.
        """
        method = self.method
        if method.rotations:
            raise UserError(
                f"Method {method.name!r} shows the teacher each image in four "
                "rotations, of which no targets are cached. Leave the teacher "
                "live (--teacher_cache_views=0)."
            )
        names = self.targets(range(len(self.terms)))
        if any(name.endswith("-batch_statistics") for name in names):
            raise UserError(
                "Pruned maps normalised with each batch's statistics differ "
                "from batch to batch, so they cannot be cached. Use "
                "--batch_norm=carry, or leave the teacher live "
                "(--teacher_cache_views=0)."
            )

    def stage(self, active):
        """Returns the stage of a set of active losses, made once.

        Args:
            active: tuple of indices of `terms`; `len(terms)` stands for the
                supervised loss, which asks no teacher.
        """
        if active not in self.stages:
            self.stages[active] = self._make_stage(active)
        return self.stages[active]

    def _make_stage(self, active):
        supervised = len(self.terms) in active
        chosen = tuple(
            (i, self.terms[i]) for i in active if i < len(self.terms)
        )
        targets = {term.name: term.teacher for _, term in chosen}
        features = {
            term.name: term.student
            for _, term in chosen
            if term.student is not None
        }
        if supervised:
            features["supervised"] = self.student.outputs[0]
        return Stage(
            terms=chosen,
            supervised=supervised,
            teacher=_view(self.teacher, targets, training=False),
            student=_view(self.student, features, training=True),
        )


def _view(model, outputs, training):
    if not outputs:
        return None
    return fused(endpoints.view(model, outputs), training)
