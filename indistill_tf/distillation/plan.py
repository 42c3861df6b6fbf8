"""Plan: which losses an epoch computes, and how much of the networks."""

import itertools

import keras

from indistill_tf import losses
from indistill_tf.distillation.fused import fused
from indistill_tf.distillation.making import make_terms
from indistill_tf.distillation.networks import prepared
from indistill_tf.distillation.stage import SUPERVISED
from indistill_tf.distillation.stage import Stage
from indistill_tf.distillation.terms import EpochWeights
from indistill_tf.distillation.terms import SupervisedTerm
from indistill_tf.distillation.untrained import untrained_layers
from indistill_tf.distillation.untrained import warn
from indistill_tf.errors import UserError
from indistill_tf.graph import counterparts
from indistill_tf.graph import endpoints
from indistill_tf.graph import front
from indistill_tf.graph import heads
from indistill_tf.graph import rankings
from indistill_tf.graph import taps as taps_lib


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
        global_batch: see `Distiller`. Defaults to True.
        replicas: int, the number of replicas. Defaults to 1.
        supervised: function from labels, outputs and sample weights to the
            supervised loss. Defaults to None, for a plan that trains nothing.
        head: see `Distiller`. Defaults to None.
        outputs: see `Distiller`. Defaults to None.
        taps_resize: see `Distiller`. Defaults to False.

    Raises:
        UserError: if networks, taps and losses do not fit together.

    Attributes:
        taps: list of `indistill_tf.taps.Tap`, the paired layers.
        counterparts: list of `Counterpart`, the student's layers that are
            fitted in closed form.
        terms: list of terms, the supervised one last.
        losses: list of `DistillationLoss`, one for each tap and task.
        heads: `indistill_tf.graph.heads.Heads` of both networks.
        num_taps: int, the number of losses at taps.
        augmenting: list of strings, the student's layers that change images at
            random, which stages pass by.
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
        global_batch=True,
        replicas=1,
        supervised=None,
        head=None,
        outputs=None,
        taps_resize=False,
    ):
        self.method = method
        teacher, student, self.heads = prepared(
            teacher, student, head, outputs, maps=method.warms_up
        )
        self.teacher, self.student = teacher, student
        self.taps, self._groups, self._resized = [], [], taps_resize
        self.counterparts = []
        if method.warms_up:
            pruned = method.pruned or method.closed_form
            self.taps = taps_lib.pair(
                teacher, student, taps, pruned, taps_resize
            )
        if method.closed_form:
            self.counterparts = counterparts.counterparts(
                teacher, student, self.taps, rankings.get(method.ranking)
            )
        if method.tap:
            self._groups = taps_lib.choose(self.taps, method.taps)
        setting = losses.Setting(
            teacher,
            student,
            train_labels=train_labels,
            replicas=replicas,
            heads=self.heads,
        )
        compared = make_terms(
            method, self._groups, setting, global_batch, taps_resize
        )
        self.losses = [
            term.loss for term in compared if term.student is not None
        ]
        self.augmenting = front.random_layers(student)
        output = SupervisedTerm(
            SUPERVISED,
            student=heads.output_of(student),
            weight=method.supervised_weight,
            loss=supervised,
        )
        self.terms = [*compared, output]
        self.num_taps = len(self._groups)
        self.stages = {}
        self._warned = False

    @property
    def pairing(self):
        """The pairs of layers and what is left out, as text, a line each."""
        if not self.method.warms_up:
            return f"Method {self.method.name!r} compares no feature maps."
        lines = self._compared_maps() if self.method.tap else []
        if self.counterparts:
            lines.append(counterparts.describe(self.counterparts, self.student))
        return "\n".join(lines)

    def _compared_maps(self):
        method = self.method
        reason = "no pair of `taps` names it"
        if method.taps in ("middle", "last"):
            reason = f"the method compares the {method.taps} pair alone"
        return taps_lib.describe(
            list(dict.fromkeys(itertools.chain(*self._groups))),
            self.teacher,
            self.student,
            method.pruned,
            method.batch_norm,
            rankings.name(method.ranking),
            self._resized,
            reason,
        )

    @property
    def output_head(self):
        """The `Head` of the student, or None where it does not matter.

        Raises:
            UserError: if it is not known, and the labels train it.
        """
        try:
            return self.heads.student
        except UserError:
            if self.method.supervised_weight:
                raise
            return None

    @property
    def reads_logits(self):
        """Whether a distillation loss compares logits."""
        return any(
            {"logits", "guides"} & set(keras.tree.flatten(loss.endpoint))
            for loss in self.losses
        )

    def warn_of_untrained(self):
        """Says once that no loss trains the student's output, if that is so."""
        layers = untrained_layers(self.student, self.terms, self.num_taps)
        if layers and not self._warned:
            self._warned = True
            warn(self.student.name, self.method.name, layers)

    def weights(self, epoch):
        """Returns the weight of each term.

        Args:
            epoch: int, counted from 0.
        """
        epoch -= self.method.preparation
        scheduled = EpochWeights(True, (0.0,) * self.num_taps, 0.0)
        if epoch >= 0:
            *taps, task = self.method.schedule.weights(epoch, self.num_taps)
            scheduled = EpochWeights(False, tuple(taps), task)
        return [term.weight_in(scheduled) for term in self.terms]

    def active(self, epoch=None):
        """Returns the indices of the losses that an epoch computes.

        Args:
            epoch: int, counted from 0, or None for all losses. Defaults to
                None.
        """
        if epoch is None:
            return tuple(range(len(self.terms)))
        weights = enumerate(self.weights(epoch))
        return tuple(index for index, weight in weights if weight > 0)

    def ever_active(self):
        """Returns the indices of the losses that some epoch may compute."""
        every = EpochWeights(True, (1.0,) * self.num_taps, 1.0)
        return tuple(
            index
            for index, term in enumerate(self.terms)
            if term.weight_in(every) > 0
        )

    @property
    def supervised(self):
        """Whether some epoch may compute the student's output."""
        return any(
            self.terms[index].name == SUPERVISED for index in self.ever_active()
        )

    def warms_up(self, epoch):
        """Returns whether an epoch comes before the task.

        Args:
            epoch: int, counted from 0.
        """
        return self.method.stage(epoch, self.num_taps) <= self.num_taps

    def targets(self, active):
        """Returns the teacher's tensors that losses read.

        Args:
            active: tuple of indices of `terms`.

        Returns:
            Dict from names, see `Term.reads`, to symbolic tensors.
        """
        tensors = {}
        for index in active:
            tensors |= self.terms[index].endpoints
        return tensors

    def teacher_view(self, names):
        """Returns the part of the teacher that computes some targets.

        Args:
            names: some of the keys of `targets`.
        """
        targets = self.targets(self.active())
        chosen = {name: targets[name] for name in names}
        return fused(endpoints.view(self.teacher, chosen), False)

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
                "live (`teacher_cache_views=0`)."
            )
        names = self.targets(self.active())
        if any(name.endswith("-batch_statistics") for name in names):
            raise UserError(
                "Pruned maps normalised with each batch's statistics differ "
                "from batch to batch, so they cannot be cached. Use "
                "`batch_norm=carry`, or leave the teacher live "
                "(`teacher_cache_views=0`)."
            )

    def stage(self, active):
        """Returns the stage of a set of active losses, made once.

        Args:
            active: tuple of indices of `terms`.
        """
        if active not in self.stages:
            self.stages[active] = self._make_stage(active)
        return self.stages[active]

    def _make_stage(self, active):
        terms = tuple((index, self.terms[index]) for index in active)
        targets = {term.name: term.teacher for _, term in terms if term.reads}
        features = {
            term.name: term.student
            for _, term in terms
            if term.student is not None
        }
        return Stage(
            terms=terms,
            teacher=_view(self.teacher, targets, training=False),
            # What the teacher sees must be what the student sees.
            student=_view(
                self.student, features, training=True, passed_by=self.augmenting
            ),
            rotated=self.method.rotations,
        )


def _view(model, outputs, training, passed_by=()):
    if not outputs:
        return None
    return fused(endpoints.view(model, outputs), training, passed_by)
