"""What a method compares between two networks."""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from indistill_tf import losses
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.graph import endpoints
from indistill_tf.graph import pruned_maps


@dataclasses.dataclass(frozen=True)
class Term:
    """One weighed loss: what is compared, and in which endpoints.

    Attributes:
        kind: `"preparation"`, `"tap"` or `"task"`.
        name: string, as in the logs: `tap_<i>`, `prepare_<i>` or `task`.
        loss: `DistillationLoss`.
        teacher: the teacher's symbolic tensor, or a tuple of them.
        student: the student's, or None for a preparation.
        weight: float, the term's own factor. Defaults to 1.
        reads: tuple of strings, what the teacher's tensors are called, the
            same whatever the student and the run.
    """

    kind: str
    name: str
    loss: keras.layers.Layer
    teacher: object
    student: object
    weight: float = 1.0
    reads: tuple = ()

    @property
    def endpoints(self):
        """Dict from the names in `reads` to the teacher's tensors."""
        tensors = self.teacher
        if not isinstance(tensors, tuple):
            tensors = (tensors,)
        return dict(zip(self.reads, tensors, strict=True))

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
        found = tuple(
            ops.cast(tf.ensure_shape(targets[name], like.shape), like.dtype)
            for name, like in self.endpoints.items()
        )
        return found if isinstance(self.teacher, tuple) else found[0]

    @property
    def trainable_variables(self):
        """The loss's variables that the term trains."""
        if self.kind == "preparation":
            return self.loss.preparation_variables
        return self.loss.student_variables


def make_terms(method, groups, setting):
    """Returns a method's losses between two networks.

    Args:
        method: `indistill_tf.methods.Method`.
        groups: list of tuples of `indistill_tf.taps.Tap`, see
            `indistill_tf.taps.choose`.
        setting: `indistill_tf.losses.base.Setting`, of both networks.

    Returns:
        List of `Term`, their losses built: preparations, taps, tasks.

    Raises:
        UserError: if endpoints are missing or do not fit.
    """
    taps = [
        _tap_term(method, number, group, setting)
        for number, group in enumerate(groups, start=1)
    ]
    terms = taps + _task_terms(method, setting)
    for term in terms:
        # A symbolic call builds the adapters, so that the optimizer, created
        # before the first batch, owns them.
        more = {
            name: keras.KerasTensor((None,), "int32")
            for name in term.loss.needs
        }
        term.loss(term.teacher, term.student, **more)
    if not method.preparation:
        return terms
    preparations = [
        dataclasses.replace(
            tap, kind="preparation", name=f"prepare_{number}", student=None
        )
        for number, tap in enumerate(taps, start=1)
    ]
    return preparations + terms


def _tap_term(method, number, group, setting):
    features, targets, reads = [], [], []
    for tap in group:
        feature = endpoints.endpoint(setting.student, tap.student_layer)
        target = endpoints.endpoint(setting.teacher, tap.teacher_layer)
        name = tap.teacher_layer
        if method.pruned and target.shape[-1] != feature.shape[-1]:
            name = f"{name}-{feature.shape[-1]}-{method.batch_norm}"
            target = pruned_maps.pruned_map(
                target, feature.shape[-1], method.batch_norm
            )
        features.append(feature)
        targets.append(target)
        reads.append(name)
    alone = len(group) == 1
    setting = dataclasses.replace(
        setting,
        teacher_endpoint=targets[0] if alone else tuple(targets),
        student_endpoint=features[0] if alone else tuple(features),
    )
    return Term(
        "tap",
        f"tap_{number}",
        _make_loss(method.tap, setting, method.tap_options),
        setting.teacher_endpoint,
        setting.student_endpoint,
        reads=tuple(reads),
    )


def _task_terms(method, setting):
    if method.task is None:
        return []
    tasks = method.task
    if not isinstance(tasks, (list, tuple)):
        tasks = [(tasks, 1.0)]
    if not all(isinstance(item, tuple) and len(item) == 2 for item in tasks):
        raise UserError(
            "A list of tasks holds pairs (loss, weight), such as [('mse', "
            f"1.0), (my_loss, 0.5)]. Received: {tasks!r}"
        )
    names = ["task"]
    if len(tasks) > 1:
        names = [f"task_{number}" for number, _ in enumerate(tasks, start=1)]
    return [
        _task_term(method, name, task, weight, setting)
        for name, (task, weight) in zip(names, tasks)
    ]


def _task_term(method, name, task, weight, setting):
    loss = _make_loss(task, setting, method.task_options)
    names = loss.endpoint
    if isinstance(names, str):
        names = (names, names)
    target = _read(setting.teacher, names[0])
    feature = _read(setting.student, names[1])
    _check_classes(method, names, target, feature)
    return Term("task", name, loss, target, feature, weight, _tuple(names[0]))


def _read(model, names):
    """Returns an endpoint of a model, or a tuple of them."""
    if isinstance(names, str):
        return endpoints.endpoint(model, names)
    return tuple(endpoints.endpoint(model, name) for name in names)


def _tuple(one_or_more):
    return one_or_more if isinstance(one_or_more, tuple) else (one_or_more,)


def _check_classes(method, names, target, feature):
    pairs = map(_tuple, (*names, target, feature))
    for teacher_name, student_name, theirs, mine in zip(*pairs, strict=True):
        if teacher_name not in ("logits", "guides") or student_name != "logits":
            continue
        if theirs.shape[-1] != mine.shape[-1]:
            raise UserError(
                f"Method {method.name!r} compares logits, but the teacher has "
                f"{theirs.shape[-1]} and the student {mine.shape[-1]}. Build "
                "both for the same classes, or choose a method that compares "
                "embeddings, such as 'pkt'."
            )


def _make_loss(loss, setting, options):
    ours = isinstance(loss, type) and issubclass(loss, losses.DistillationLoss)
    known = loss.options() if ours else ()
    for name in options:
        if name not in known:
            raise unknown_name(f"option of {_label(loss)}", name, known)
    if not ours:
        return losses.as_distillation_loss(loss, setting)
    return loss.create(setting, **options)


def _label(loss):
    return getattr(loss, "__name__", loss)


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
        if len(model.inputs) > 1:
            raise UserError(
                f"The {role} must read images alone. Received a model of "
                f"{len(model.inputs)} inputs: {model!r}"
            )
    # Also of models inside. What neither trains, they may share.
    if {id(weight) for weight in teacher.weights} & {
        id(weight) for weight in student.trainable_weights
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
