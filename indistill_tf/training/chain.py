"""A chain of hops: teacher, auxiliary teacher, student."""

import dataclasses
import functools
import logging
import pathlib

from indistill_tf import auxiliary as auxiliary_lib
from indistill_tf import methods
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.training.hop import make_trainer
from indistill_tf.training.hop import run_hop
from indistill_tf.training.networks import build_network
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
):
    """Trains a student through a chain of teachers.

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
            `1 / (1 - pruning_rate)`.
        method: name or `Method` of the student's hop.
        auxiliary_method: name or `Method` of the auxiliary's hop. Defaults to
            the method's own: `"okd"` for `"takd"`, else `"pkt"`, as in the
            InDistill authors' code.
        taps: see `Distiller`, for the student's hop. Defaults to `"auto"`.
        global_batch: see `Distiller`. Defaults to True.
        teacher_weights: the teacher's weights, see `build_network`.
        teacher_epochs: int. Defaults to the recipe's.
        auxiliary_epochs: int. Defaults to the recipe's.
        pruning_rate: float, q of `auxiliary="auto"`. Defaults to 0.5.
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

    Returns:
        Dict from role (`teacher`, `auxiliary`, `student_alone`, `student`) to
        result dict.

    Raises:
        UserError: if a name, file, shape or schedule does not fit.
    """
    folder = pathlib.Path(folder)
    networks, results = {}, {}
    method = methods.get(method)
    if method.needs_auxiliary and auxiliary is None:
        raise UserError(
            f"Method {method.name!r} teaches through an auxiliary teacher. "
            "Name one (--auxiliary=auto for the student widened)."
        )
    trained = teacher_weights is None and models.knows(teacher)
    if not trained:
        networks["teacher"] = _read_teacher(teacher, teacher_weights, images)
    hops = []
    if trained:
        hops.append(_Hop("teacher", teacher, recipe.scaled(teacher_epochs)))
    if auxiliary is not None:
        stretched = recipe.scaled(auxiliary_epochs)
        hops.append(
            _Hop(
                "auxiliary",
                auxiliary,
                stretched,
                "teacher",
                {
                    "method": auxiliary_method or method.auxiliary_method,
                    "global_batch": global_batch,
                    "teacher_cache_views": teacher_cache_views,
                },
            )
        )
    if student_alone:
        hops.append(_Hop("student_alone", student, recipe))
    source = "teacher" if auxiliary is None else "auxiliary"
    distillation = {
        "method": method,
        "taps": taps,
        "global_batch": global_batch,
        "teacher_cache_views": teacher_cache_views,
        "information_bottleneck": information_bottleneck,
    }
    hops.append(_Hop("student", student, recipe, source, distillation))

    def build(hop):
        if hop.network != "auto":
            return build_network(hop.network, images)
        narrow = build_network(student, images)
        return auxiliary_lib.widen(narrow, pruning_rate)

    _check(hops, build, images, dict(networks))
    for hop in hops:
        networks[hop.role], results[hop.role] = run_hop(
            folder if hop.role == "student" else folder / hop.role,
            functools.partial(build, hop),
            images,
            hop.recipe,
            seed=seed,
            teacher=networks.get(hop.source),
            role=hop.role,
            data_service=data_service,
            teacher_cache=teacher_cache or folder / "teacher_cache",
            **hop.distillation,
        )
    return results


@dataclasses.dataclass(frozen=True)
class _Hop:
    """A network to train, and what from."""

    role: str
    network: str
    recipe: Recipe
    source: str | None = None
    distillation: dict = dataclasses.field(default_factory=dict)


def _check(hops, build, images, networks):
    """Sets every hop up untrained: what can be refused is refused at once."""
    for hop in hops:
        networks[hop.role] = student = build(hop)
        teacher = networks.get(hop.source)
        trainer = make_trainer(
            student, images, hop.recipe, teacher, **hop.distillation
        )
        for line in getattr(trainer, "pairing", "").splitlines():
            logger.info("%s: %s", hop.role, line)


def _read_teacher(teacher, weights, images):
    if weights is None:
        model = models.load_model(teacher)
    else:
        model = build_network(teacher, images, weights)
    images.check(model)
    logger.info("teacher: read from %s", weights or teacher)
    return model
