"""The terms of a method between two networks, made and checked."""

import dataclasses

from keras import ops

from indistill_tf import losses
from indistill_tf.distillation.terms import Preparation
from indistill_tf.distillation.terms import TapTerm
from indistill_tf.distillation.terms import TaskTerm
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.graph import endpoints
from indistill_tf.graph import pruned_maps
from indistill_tf.graph import rankings


def make_terms(method, groups, setting, global_batch=True, taps_resize=False):
    """Returns a method's distillation losses between two networks.

    Args:
        method: `indistill_tf.methods.Method`.
        groups: list of tuples of `indistill_tf.taps.Tap`, see
            `indistill_tf.taps.choose`.
        setting: `indistill_tf.losses.Setting`, of both networks.
        global_batch: bool, see `Distiller`. Defaults to True.
        taps_resize: bool, see `Distiller`. Defaults to False.

    Returns:
        List of terms, their losses built: preparations, taps, tasks.

    Raises:
        UserError: if endpoints are missing or do not fit.
    """
    taps = [
        _tap_term(method, number, group, setting, global_batch, taps_resize)
        for number, group in enumerate(groups, start=1)
    ]
    tasks = [
        _task_term(method, name, task, weight, setting, global_batch)
        for name, task, weight in _named_tasks(method.task)
    ]
    for term in taps + tasks:
        term.build()
    return _preparations(method, taps) + taps + tasks


def _preparations(method, taps):
    if not method.preparation:
        return []
    return [
        Preparation(
            f"prepare_{tap.number}", tap.teacher, None, tap.reads, tap.loss
        )
        for tap in taps
    ]


def _tap_term(method, number, group, setting, global_batch, taps_resize):
    # Statistics of the batch are those of the batch that the losses see.
    synchronized = setting.replicas > 1 and global_batch
    features, targets, reads = [], [], []
    for tap in group:
        feature = endpoints.endpoint(setting.student, tap.student_layer)
        target = endpoints.endpoint(setting.teacher, tap.teacher_layer)
        name = tap.teacher_layer
        if method.pruned and target.shape[-1] != feature.shape[-1]:
            mode = pruned_maps.batch_norm_of(target, method.batch_norm)
            name = f"{name}-{feature.shape[-1]}-{mode}"
            if (ranking := rankings.name(method.ranking)) != "l1":
                name = f"{name}-{ranking}"
            target = pruned_maps.pruned_map(
                target,
                feature.shape[-1],
                mode,
                synchronized,
                rankings.get(method.ranking),
            )
        size = tuple(feature.shape[1:3])
        if taps_resize and tuple(target.shape[1:3]) != size:
            name = f"{name}-{size[0]}x{size[1]}"
            target = ops.image.resize(target, size, "bilinear")
        features.append(feature)
        targets.append(target)
        reads.append(name)
    alone = len(group) == 1
    setting = dataclasses.replace(
        setting,
        teacher_endpoint=targets[0] if alone else tuple(targets),
        student_endpoint=features[0] if alone else tuple(features),
    )
    loss = _make_loss(method.tap, setting, method.tap_options)
    _check_heads(method, loss, setting)
    return TapTerm(
        f"tap_{number}",
        setting.teacher_endpoint,
        setting.student_endpoint,
        tuple(reads),
        loss,
        _sees_all(loss, global_batch),
        number=number,
    )


def _named_tasks(task):
    """Returns the tasks of a method: their names, losses and weights."""
    if task is None:
        return []
    tasks = task if isinstance(task, (list, tuple)) else [(task, 1.0)]
    if not all(isinstance(item, tuple) and len(item) == 2 for item in tasks):
        raise UserError(
            "A list of tasks holds pairs (loss, weight), such as [('mse', "
            f"1.0), (my_loss, 0.5)]. Received: {tasks!r}"
        )
    if len(tasks) == 1:
        return [("task", *tasks[0])]
    return [
        (f"task_{number}", *item) for number, item in enumerate(tasks, start=1)
    ]


def _task_term(method, name, task, weight, setting, global_batch):
    loss = _make_loss(task, setting, method.task_options)
    _check_heads(method, loss, setting)
    names = loss.endpoint
    if isinstance(names, str):
        names = (names, names)
    target = _read(setting, "teacher", names[0])
    feature = _read(setting, "student", names[1])
    _check_classes(method, names, target, feature)
    return TaskTerm(
        name,
        target,
        feature,
        _tuple(names[0]),
        loss,
        _sees_all(loss, global_batch),
        task_weight=method.task_weight,
        weight=weight,
    )


def _sees_all(loss, global_batch):
    return loss.remembers or (loss.relational and global_batch)


def _read(setting, role, names):
    """Returns an endpoint of teacher or student, or a tuple of them."""
    if not isinstance(names, str):
        return tuple(_read(setting, role, name) for name in names)
    if names == "logits":
        return getattr(setting.heads, role).logits
    return endpoints.endpoint(getattr(setting, role), names)


def _tuple(one_or_more):
    return one_or_more if isinstance(one_or_more, tuple) else (one_or_more,)


def _check_heads(method, loss, setting):
    try:
        loss.check_heads(setting.heads)
    except UserError as error:
        raise UserError(f"Method {method.name!r}: {error}") from error


def _check_classes(method, names, target, feature):
    pairs = map(_tuple, (*names, target, feature))
    for read, compared, *logits in zip(*pairs, strict=True):
        if read not in ("logits", "guides") or compared != "logits":
            continue
        classes = [tensor.shape[-1] for tensor in logits]
        if classes[0] != classes[1]:
            raise UserError(
                f"Method {method.name!r} compares logits, but the teacher has "
                f"{classes[0]} and the student {classes[1]}. Build both for "
                "the same classes, or choose a method that compares "
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
