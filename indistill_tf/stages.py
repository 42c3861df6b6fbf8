"""What is compared, and how much of both networks that takes."""

import dataclasses

import keras

from indistill_tf import pruning
from indistill_tf import taps as taps_lib
from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Term:
    """One weighed loss: what is compared, and in which endpoints.

    Attributes:
        name: string, as in the logs: `tap_<i>` or `task`.
        loss: `DistillationLoss`.
        teacher: the teacher's symbolic tensor.
        student: the student's symbolic tensor.
    """

    name: str
    loss: keras.layers.Layer
    teacher: keras.KerasTensor
    student: keras.KerasTensor


@dataclasses.dataclass(frozen=True)
class Stage:
    """What one set of active losses needs: both networks, truncated.

    Attributes:
        terms: tuple of `(index, Term)`, the active ones.
        supervised: bool, whether the student's output is computed too.
        teacher: view from images to a dict by term, or None if no term asks.
        student: view from images to a dict by term, with `supervised`.
    """

    terms: tuple
    supervised: bool
    teacher: keras.Model | None
    student: keras.Model

    @property
    def trainable_variables(self):
        """The variables that the stage trains; all have gradients."""
        variables = list(self.student.trainable_variables)
        for _, term in self.terms:
            variables += term.loss.trainable_variables
        return variables


def make_stage(terms, active, teacher, student):
    """Returns the stage of a set of active losses.

    Args:
        terms: list of `Term`.
        active: tuple of indices of `terms`; `len(terms)` stands for the
            supervised loss, which asks no teacher.
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.

    Returns:
        `Stage`.
    """
    supervised = len(terms) in active
    chosen = tuple((i, terms[i]) for i in active if i < len(terms))
    targets = {term.name: term.teacher for _, term in chosen}
    features = {term.name: term.student for _, term in chosen}
    if supervised:
        features["supervised"] = student.outputs[0]
    return Stage(
        terms=chosen,
        supervised=supervised,
        teacher=taps_lib.view(teacher, targets) if targets else None,
        student=taps_lib.view(student, features),
    )


def make_terms(method, pairs, teacher, student):
    """Returns a method's losses between two networks: the taps', the task's.

    Args:
        method: `indistill_tf.methods.Method`.
        pairs: list of `indistill_tf.taps.Tap`.
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.

    Returns:
        List of `Term`, their losses built.

    Raises:
        UserError: if endpoints are missing or do not fit.
    """
    terms = []
    for number, tap in enumerate(pairs, start=1):
        feature = taps_lib.endpoint(student, tap.student_layer)
        target = taps_lib.endpoint(teacher, tap.teacher_layer)
        if method.pruned:
            target = pruning.pruned_map(
                target, feature.shape[-1], method.batch_norm
            )
        terms.append(Term(f"tap_{number}", method.tap(), target, feature))
    if method.task:
        terms.append(_task_term(method, teacher, student))
    for term in terms:
        # A symbolic call builds the adapters, so that the optimizer, created
        # before the first batch, owns them.
        term.loss(term.teacher, term.student)
    return terms


def _task_term(method, teacher, student):
    task = method.task()
    target = taps_lib.endpoint(teacher, task.endpoint)
    feature = taps_lib.endpoint(student, task.endpoint)
    if task.endpoint == "logits" and target.shape != feature.shape:
        raise UserError(
            f"Method {method.name!r} compares logits, but the teacher has "
            f"{target.shape[-1]} and the student {feature.shape[-1]}. Build "
            "both for the same classes, or choose a method that compares "
            "embeddings, such as 'pkt'."
        )
    return Term("task", task, target, feature)


def check_networks(teacher, student):
    """Checks that two models can be teacher and student.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.

    Raises:
        UserError: if not.
    """
    for role, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, keras.Model) or not getattr(
            model, "inputs", None
        ):
            raise UserError(
                f"The {role} must be a functional or built Sequential "
                f"keras.Model. Received: {model!r}"
            )
    if {id(layer) for layer in teacher.layers} & {
        id(layer) for layer in student.layers
    }:
        raise UserError(
            "Teacher and student share layers; the student would train its "
            "own teacher. Clone one of them (keras.models.clone_model)."
        )
    shapes = [tuple(model.inputs[0].shape[1:]) for model in (teacher, student)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"Teacher and student see the same images, but the teacher reads "
            f"{shapes[0]} and the student {shapes[1]}. Build both for one "
            "input shape."
        )
