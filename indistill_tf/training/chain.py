"""A chain of hops: teacher, auxiliary teacher, student."""

import dataclasses
import logging

import keras

from indistill_tf import models
from indistill_tf.distillation import methods
from indistill_tf.errors import UserError
from indistill_tf.graph import front
from indistill_tf.graph.assistants import with_assistants
from indistill_tf.options import option
from indistill_tf.training import snapshots
from indistill_tf.training.distillation import Distillation
from indistill_tf.training.hop import TEACHER
from indistill_tf.training.hop import Hop
from indistill_tf.training.hop import extent
from indistill_tf.training.hop import run_hop
from indistill_tf.training.modules import train_modules
from indistill_tf.training.networks import AUTO
from indistill_tf.training.networks import Network
from indistill_tf.training.networks import Widened
from indistill_tf.training.networks import as_network
from indistill_tf.training.recipe import Recipe
from indistill_tf.training.run import STUDENT
from indistill_tf.training.run import Run
from indistill_tf.training.trainer import make_trainer

logger = logging.getLogger("indistill_tf")

STUDENT_ALONE = "student_alone"
WITHOUT_WARM_UP = "student_without_warm_up"
BY_CLOSED_FORM = "student_by_closed_form"


@dataclasses.dataclass(frozen=True)
class Chain:
    """Networks that teach one another, in order.

    Each learns from the one before it; with a method that is `dense` from all
    that come before it.

    Attributes:
        teacher: `Network`, or its name alone: trained from labels unless it is
            a file or has weights.
        student: `Network`, or its name alone.
        recipe: `Recipe` of the student's hop; the others stretch it to their
            number of epochs.
        distillation: `Distillation` of the student's hop.
        auxiliaries: tuple of `Network`, or of names, between the two.
        auxiliary_distillation: `Distillation` of the auxiliaries' hops, or
            None for the method that the student's names: `"okd"` for `"takd"`,
            `"dgkd"` for itself, else `"pkt"`, as in the InDistill authors'
            code, for a classifier where the student is one.
        student_alone: bool, whether to train the student also from labels
            only, for comparison.
        without_warm_up: bool, whether to train the student also by the
            method's task alone, for comparison.
        by_closed_form: bool, whether to train the student also by the task
            after a closed form in place of the method's warm-up, for
            comparison.

    Raises:
        UserError: if the method teaches through auxiliaries and there is none.
    """

    teacher: Network
    student: Network
    recipe: Recipe = Recipe()
    distillation: Distillation = Distillation()
    auxiliaries: tuple = ()
    auxiliary_distillation: Distillation | None = None
    student_alone: bool = option(False, "train it from labels too")
    without_warm_up: bool = option(False, "train it by the task alone too")
    by_closed_form: bool = option(False, "train it by closed form, task too")

    def __post_init__(self):
        for name in ("teacher", "student"):
            network = as_network(getattr(self, name))
            object.__setattr__(self, name, network)
        auxiliaries = tuple(map(as_network, self.auxiliaries))
        object.__setattr__(self, "auxiliaries", auxiliaries)
        method = self.distillation.method
        if method.needs_auxiliary and not auxiliaries:
            raise UserError(
                f"Method {method.name!r} teaches through an auxiliary teacher. "
                "Name one (`auxiliary=auto` for the student widened)."
            )

    @property
    def reads_teacher(self):
        """Whether the teacher is trained already."""
        named = callable(self.teacher.name) or models.knows(self.teacher.name)
        return self.teacher.weights is not None or not named

    def hops(self) -> list[Hop]:
        """Returns what is to be trained, a list of `Hop` in order."""
        hops = []
        if not self.reads_teacher:
            recipe = self.recipe.scaled(self.teacher.epochs)
            hops.append(Hop(self.teacher, recipe, role=TEACHER))
        before = [TEACHER]
        for role, network in self._auxiliaries().items():
            hops.append(self._auxiliary_hop(role, network, before))
            before.append(role)
        if self.student_alone:
            hops.append(Hop(self.student, self.recipe, role=STUDENT_ALONE))
        for role, method in self._compared().items():
            other = dataclasses.replace(self.distillation, method=method)
            hops.append(self._student_hop(other, role, before))
        return [*hops, self._student_hop(self.distillation, STUDENT, before)]

    def _compared(self):
        """Returns the student's other methods by role."""
        method, found = self.distillation.method, {}
        if self.without_warm_up:
            found[WITHOUT_WARM_UP] = method.without_warm_up()
        if self.by_closed_form:
            found[BY_CLOSED_FORM] = method.by_closed_form()
        return found

    def _student_hop(self, distillation, role, before):
        return _taught(self.student, self.recipe, distillation, role, before)

    def _auxiliaries(self):
        """Returns the auxiliaries by role."""
        if len(self.auxiliaries) == 1:
            return {"auxiliary": self.auxiliaries[0]}
        numbered = enumerate(self.auxiliaries, start=1)
        return {f"auxiliary_{i}": network for i, network in numbered}

    def _auxiliary_hop(self, role, network, before):
        distillation = self.auxiliary_distillation or self._passed_on()
        recipe = self.recipe.scaled(network.epochs)
        if network.name == AUTO:
            network = Widened(self.student, network.pruning_rate)
        return _taught(network, recipe, distillation, role, before)

    def _passed_on(self):
        """Returns how auxiliaries are taught where nothing else is said."""
        student = self.distillation
        objective = "retrieval"
        if student.method.supervised_weight:
            objective = "classification"
        return Distillation(
            methods.get(student.method.auxiliary_method, objective=objective),
            taps_resize=student.taps_resize,
            global_batch=student.global_batch,
        )


def run_chain(run: Run, chain: Chain) -> dict[str, dict]:
    """Trains a student through a chain of teachers.

    The student's record goes into the work directory itself, each other hop's
    into a sub-folder named after its role.

    A finished hop is not trained again, an interrupted one goes on after its
    last whole epoch, so repeating the call after any interruption leads to the
    weights of an undisturbed run.

    Args:
        run: `Run`.
        chain: `Chain`.

    Returns:
        Dict from role (`teacher`, `auxiliary` or `auxiliary_1` and so on,
        `student_alone`, `student_without_warm_up`, `student`) to result dict.

    Raises:
        UserError: if a name, file, shape or schedule does not fit.
    """
    networks, results = {}, {}
    run.images.check_measured()
    if chain.reads_teacher:
        networks[TEACHER] = chain.teacher.read(run.images)
    _check(run, chain.hops(), dict(networks))
    for hop in chain.hops():
        logger.info("to do: %s", _described(run, hop))
    for hop in chain.hops():
        teacher = _teacher(hop, networks)
        networks[hop.role], results[hop.role] = run_hop(
            run.at(hop.role), with_modules(hop, run, teacher), teacher
        )
    return results


def _taught(network, recipe, distillation, role, before):
    """Returns a hop from the last network before it, or from all of them."""
    teachers = before if distillation.method.dense else before[-1:]
    return Hop(network, recipe, distillation, role, tuple(teachers))


def _described(run, hop):
    """Returns in one line what a hop will train, how and for how long."""
    epochs, steps = extent(run, hop.recipe)
    how = "from labels"
    if hop.distillation is not None:
        teachers = " and ".join(hop.teachers)
        how = f"by {hop.distillation.method.name} from {teachers}"
    found = snapshots.found(run.at(hop.role).folder)
    begun = f"; it goes on at {next(iter(found))}" if found else ""
    return f"{hop.role}, {how}: {epochs} epochs of {steps} steps{begun}"


def _teacher(hop, networks):
    """Returns the model that teaches a hop, or None."""
    if not hop.teachers:
        return None
    first, *others = (networks[role] for role in hop.teachers)
    return with_assistants(first, others)


def with_modules(hop: Hop, run: Run, teacher: keras.Model | None) -> Hop:
    """Returns a hop whose method has the modules that it asks for, trained.

    Args:
        hop: `Hop`.
        run: `Run`, in whose folder `modules` they are trained once.
        teacher: network whose embeddings they are trained on, or None.
    """
    if hop.distillation is None or hop.distillation.modules is None:
        return hop
    modules, _ = train_modules(
        run.at("modules").folder,
        run.images,
        teacher,
        hop.distillation.modules,
        run.seed,
    )
    return dataclasses.replace(
        hop, distillation=hop.distillation.with_modules(modules)
    )


def _check(run, hops, networks):
    """Sets every hop up untrained: what can be refused is refused at once."""
    for hop in hops:
        teacher, distillation = _teacher(hop, networks), hop.distillation
        networks[hop.role] = student = hop.network.build(run.images)
        _warn_of_scaling(hop.role, student)
        if distillation and distillation.modules:
            untrained = distillation.modules.build(teacher)
            distillation = distillation.with_modules(untrained)
        # What its accuracy is worth is said when it is taken.
        trainer = make_trainer(
            student, run, hop.recipe, teacher, distillation, watched=False
        )
        for line in trainer.pairing.splitlines():
            logger.info("%s: %s", hop.role, line)


def _warn_of_scaling(role, network):
    layer = front.scaling_layer(network)
    if layer:
        logger.warning(
            "%s: its layer %r scales pixels itself, and images are normalised "
            "already. Leave it out, or use `Network(..., pixels='raw')`.",
            *(role, layer),
        )
