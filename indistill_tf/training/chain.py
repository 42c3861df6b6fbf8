"""A chain of hops: teacher, auxiliary teacher, student."""

import dataclasses
import functools
import logging
import pathlib

from indistill_tf import models
from indistill_tf.cifd import ControlledInformationFlow
from indistill_tf.distillation import methods
from indistill_tf.errors import UserError
from indistill_tf.graph import widening as auxiliary_lib
from indistill_tf.graph.assistants import with_assistants
from indistill_tf.training.hop import make_trainer
from indistill_tf.training.hop import run_hop
from indistill_tf.training.modules import train_modules
from indistill_tf.training.networks import build_network
from indistill_tf.training.networks import read_teacher
from indistill_tf.training.recipe import Recipe

logger = logging.getLogger("indistill_tf")


def run_chain(
    folder,
    images,
    recipe,
    teacher,
    student,
    auxiliary=None,
    method="indistill",
    auxiliary_method=None,
    taps="auto",
    global_batch=True,
    teacher_weights=None,
    teacher_epochs=None,
    auxiliary_epochs=None,
    pruning_rate=0.5,
    student_alone=False,
    seed=0,
    data_service=None,
    teacher_cache_views=0,
    teacher_cache=None,
    information_bottleneck=0.0,
    modules=None,
):
    """Trains a student through a chain of teachers.

    Each network learns from the one before it; with a method that is `dense`
    from all that come before it.

    The student's record goes into the work directory itself, each other hop's
    into a sub-folder named after its role.

    A finished hop is not trained again, an interrupted one goes on after its
    last whole epoch, so repeating the call after any interruption leads to the
    weights of an undisturbed run.

    Args:
        folder: the work directory.
        images: `indistill_tf.data.ImageSet`.
        recipe: `Recipe` of the student's hop; the others stretch it to their
            number of epochs.
        teacher: a name that `indistill_tf.models.build` knows, trained from
            labels unless `teacher_weights` is given, or a `.keras` file.
        student: a name that `indistill_tf.models.build` knows.
        auxiliary: None, such a name, or `"auto"` for the student widened by
            `1 / (1 - pruning_rate)`; or a list of them, in the order of the
            chain.
        method: name or `Method` of the student's hop.
        auxiliary_method: name or `Method` of the auxiliaries' hops. Defaults
            to the method's own: `"okd"` for `"takd"`, `"dgkd"` for itself,
            else `"pkt"`, as in the InDistill authors' code.
        taps: see `Distiller`, for the student's hop. Defaults to `"auto"`.
        global_batch: see `Distiller`. Defaults to True.
        teacher_weights: the teacher's weights, see `build_network`.
        teacher_epochs: int. Defaults to the recipe's.
        auxiliary_epochs: int. Defaults to the recipe's.
        pruning_rate: float, q of `auxiliary="auto"`, or a list with one for
            each auxiliary. Defaults to 0.5.
        student_alone: bool, whether to train the student also without a
            teacher, for comparison. Defaults to False.
        seed: int. Defaults to 0.
        data_service: see `service` of `indistill_tf.data.training_batches`.
            Defaults to None.
        teacher_cache_views: see `run_hop`, for every hop with a teacher.
            Defaults to 0.
        teacher_cache: the folder of what is kept, which other runs may share.
            Defaults to `teacher_cache` in the work directory.
        information_bottleneck: see `make_trainer`, for the student's hop.
            Defaults to 0.
        modules: `ModulesRecipe` of rate-distortion modules, trained on the
            student's teacher and given to the method's task. Defaults to
            None: the task has those that its options name, if any.

    Returns:
        Dict from role (`teacher`, `auxiliary` or `auxiliary_1` and so on,
        `student_alone`, `student`) to result dict.

    Raises:
        UserError: if a name, file, shape or schedule does not fit.
    """
    folder = pathlib.Path(folder)
    networks, results = {}, {}
    method = methods.get(method)
    auxiliaries = _names(auxiliary, pruning_rate)
    if method.needs_auxiliary and not auxiliaries:
        raise UserError(
            f"Method {method.name!r} teaches through an auxiliary teacher. "
            "Name one (--auxiliary=auto for the student widened)."
        )
    common = dict(
        global_batch=global_batch, teacher_cache_views=teacher_cache_views
    )
    hops = []
    if teacher_weights is None and models.knows(teacher):
        hops.append(_Hop("teacher", teacher, recipe.scaled(teacher_epochs)))
    else:
        networks["teacher"] = read_teacher(teacher, teacher_weights, images)
    before = ["teacher"]
    for role, network in auxiliaries.items():
        stretched = recipe.scaled(auxiliary_epochs)
        theirs = methods.get(auxiliary_method or method.auxiliary_method)
        hops.append(_taught(role, network, stretched, before, theirs, **common))
        before.append(role)
    if student_alone:
        hops.append(_Hop("student_alone", student, recipe))
    more = dict(taps=taps, information_bottleneck=information_bottleneck)
    hops.append(
        _taught("student", student, recipe, before, method, **common, **more)
    )

    def build(hop):
        if isinstance(hop.network, str):
            return build_network(hop.network, images)
        narrow = build_network(student, images)
        return auxiliary_lib.widen(narrow, hop.network)

    _check(hops, build, images, dict(networks), modules)
    for hop in hops:
        distillation, source = hop.distillation, hop.teacher(networks)
        if hop.role == "student" and modules:
            found, _ = train_modules(
                folder / "modules", images, source, modules, seed
            )
            distillation = _with_modules(distillation, found)
        networks[hop.role], results[hop.role] = run_hop(
            folder if hop.role == "student" else folder / hop.role,
            functools.partial(build, hop),
            images,
            hop.recipe,
            seed=seed,
            teacher=source,
            role=hop.role,
            data_service=data_service,
            teacher_cache=teacher_cache or folder / "teacher_cache",
            **distillation,
        )
    return results


@dataclasses.dataclass(frozen=True)
class _Hop:
    """A network to train, and what from.

    Attributes:
        role: string.
        network: a model's name, or a float, q of the student widened.
        recipe: `Recipe`.
        sources: roles of the networks that teach it, the teacher first.
        distillation: dict, see `make_trainer`.
    """

    role: str
    network: str | float
    recipe: Recipe
    sources: tuple = ()
    distillation: dict = dataclasses.field(default_factory=dict)

    def teacher(self, networks):
        """Returns the model that teaches, or None."""
        if not self.sources:
            return None
        first, *others = (networks[role] for role in self.sources)
        return with_assistants(first, others)


def _taught(role, network, recipe, before, method, **distillation):
    """Returns a hop from the last network before it, or from all of them."""
    sources = before if method.dense else before[-1:]
    distillation = {"method": method, **distillation}
    return _Hop(role, network, recipe, tuple(sources), distillation)


def _names(auxiliary, pruning_rate):
    """Returns the auxiliaries by role: names, or pruning rates for `auto`."""
    names = [] if auxiliary is None else auxiliary
    names = [names] if isinstance(names, str) else list(names)
    rates = pruning_rate
    rates = list(rates) if isinstance(rates, (list, tuple)) else [rates]
    if len(rates) == 1:
        rates *= len(names)
    if names and len(rates) != len(names):
        raise UserError(
            f"There are {len(names)} auxiliaries and {len(rates)} pruning "
            "rates. Give one for each, or one for all."
        )
    roles = ["auxiliary"]
    if len(names) > 1:
        roles = [f"auxiliary_{i}" for i, _ in enumerate(names, start=1)]
    return {
        role: rate if name == "auto" else name
        for role, name, rate in zip(roles, names, rates)
    }


def _check(hops, build, images, networks, modules):
    """Sets every hop up untrained: what can be refused is refused at once."""
    for hop in hops:
        networks[hop.role] = student = build(hop)
        teacher, distillation = hop.teacher(networks), hop.distillation
        if hop.role == "student" and modules:
            distillation = _with_modules(distillation, modules.build(teacher))
        trainer = make_trainer(
            student, images, hop.recipe, teacher, **distillation
        )
        for line in getattr(trainer, "pairing", "").splitlines():
            logger.info("%s: %s", hop.role, line)


def _with_modules(distillation, modules):
    method = distillation["method"]
    if method.task is not ControlledInformationFlow:
        raise UserError(
            f"Method {method.name!r} has no use for rate-distortion modules. "
            "Leave them out, or choose 'cifd' (--method or --task)."
        )
    method = methods.get(method, task_options={"modules": modules})
    return {**distillation, "method": method}
