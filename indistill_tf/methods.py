"""The table of methods: a method is which losses, where, and when."""

import dataclasses
from collections.abc import Callable

from indistill_tf import losses
from indistill_tf import schedules
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name


@dataclasses.dataclass(frozen=True)
class Method:
    """A distillation method as a row.

    Attributes:
        name: string.
        paper: string, where it was published.
        task: function returning the `DistillationLoss` of the task, or None
            for a method whose task is the supervised loss alone.
        tap: function returning the `DistillationLoss` of one tap, or None for
            a method without intermediate layers.
        pruned: bool, whether the teacher's maps are pruned to the student's
            widths before the tap's loss.
        schedule: from the epoch to the weights of taps and task.
        task_weight: float, the weight of the task's loss.
        supervised_weight: float, the weight of the loss given to `compile`
            (cross-entropy) beside the task's. 0 for retrieval, as in the
            papers.
        batch_norm: how pruned maps are normalised, see
            `indistill_tf.pruning.narrow_batch_norm`.
        auxiliary_method: string, how a chain's teacher teaches the auxiliary.
        needs_auxiliary: bool, whether the method is a chain by definition.
    """

    name: str
    paper: str
    task: Callable | None
    tap: Callable | None = None
    pruned: bool = True
    schedule: object = schedules.TaskOnly()
    task_weight: float = 1.0
    supervised_weight: float = 0.0
    batch_norm: str = "carry"
    auxiliary_method: str = "pkt"
    needs_auxiliary: bool = False


_INDISTILL = Method(
    name="indistill",
    paper="Sarridis et al., 2022 (arXiv 2205.10003)",
    tap=losses.FeatureMSE,
    schedule=schedules.Curriculum(a=2, b=1),
    task=losses.ProbabilisticJeffreys,
)

METHODS = {
    method.name: method
    for method in (
        Method(
            name="okd",
            paper="Hinton et al., 2015 (arXiv 1503.02531)",
            task=losses.SoftenedKL,
        ),
        Method(
            name="at",
            paper="Zagoruyko and Komodakis, 2017 (arXiv 1612.03928)",
            tap=losses.AttentionTransfer,
            pruned=False,
            schedule=schedules.Simultaneous(tap_weight=1000.0),
            task=None,
            supervised_weight=1.0,
        ),
        Method(
            name="mkt",
            paper="Yu et al., 2019 (arXiv 1904.03624)",
            task=losses.MetricRelative,
        ),
        Method(
            name="pkt",
            paper="Passalis et al., 2020 (arXiv 2005.00727)",
            task=losses.ProbabilisticJeffreys,
        ),
        Method(
            name="pkt_kl",
            paper="Passalis and Tefas, 2018 (arXiv 1803.10837)",
            task=losses.ProbabilisticKL,
        ),
        Method(
            name="pkt_h_cr",
            paper="Passalis et al., 2020 (arXiv 2005.00727)",
            tap=losses.ProbabilisticJeffreys,
            pruned=False,
            schedule=schedules.CriticalPeriod(initial=100.0, decay=0.7),
            task=losses.ProbabilisticJeffreys,
        ),
        Method(
            name="takd",
            paper="Mirzadeh et al., 2020 (arXiv 1902.03393)",
            task=losses.SoftenedKL,
            auxiliary_method="okd",
            needs_auxiliary=True,
        ),
        Method(
            name="dist",
            paper="Huang et al., 2022 (arXiv 2205.10536)",
            task=losses.Pearson,
        ),
        Method(
            name="normkd",
            paper="Chi et al., 2023 (arXiv 2308.00520)",
            task=losses.NormalizedKL,
        ),
        _INDISTILL,
        # The ablations of InDistill, sec. 5.3 and Table 7.
        dataclasses.replace(
            _INDISTILL,
            name="indistill_simultaneous",
            schedule=schedules.Simultaneous(),
        ),
        dataclasses.replace(
            _INDISTILL,
            name="indistill_critical_period",
            schedule=schedules.CriticalPeriod(initial=100.0, decay=0.7),
        ),
        dataclasses.replace(
            _INDISTILL,
            name="curriculum_unpruned",
            tap=losses.ProbabilisticJeffreys,
            pruned=False,
        ),
    )
}


def get(method, task=None, **changes):
    """Returns a method, by name or changed.

    Args:
        method: a key of `METHODS`, or a `Method`.
        task: name of the method whose task replaces this one's, as in
            InDistill with OKD; its weight comes along. Defaults to None.
        **changes: fields of `Method` to replace; None leaves a field alone.

    Returns:
        `Method`.

    Raises:
        UserError: if a name is unknown, or the method takes no other task.

    Example:

    ```python
    indistill_tf.methods.get("indistill", task="okd")
    ```
    """
    if not isinstance(method, Method):
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
        method = METHODS[method]
    if task is not None:
        method = _with_task(method, task)
    changes = {
        key: value for key, value in changes.items() if value is not None
    }
    return dataclasses.replace(method, **changes)


def _with_task(method, task):
    tasks = [name for name, row in METHODS.items() if row.tap is None]
    if task not in tasks:
        raise unknown_name("task", task, tasks)
    if method.tap is None and task != method.name:
        raise UserError(
            f"Method {method.name!r} is its own task. Choose another task only "
            "for a method with intermediate layers, such as 'indistill'. "
            f"Received: task={task!r}"
        )
    row = METHODS[task]
    return dataclasses.replace(
        method, task=row.task, task_weight=row.task_weight
    )


def table():
    """Returns the lines of a Markdown table with one row a method."""
    lines = [
        "| method | loss of a tap | schedule | loss of the task | "
        "cross-entropy | paper |",
        "|---|---|---|---|---|---|",
    ]
    for method in METHODS.values():
        tap, schedule = "", ""
        if method.needs_auxiliary:
            schedule = "chain through an auxiliary"
        if method.tap:
            pruned = ", pruned teacher" if method.pruned else ""
            tap = f"`{method.tap.__name__}`{pruned}"
            schedule = f"`{method.schedule}`"
        task = f"`{method.task.__name__}`" if method.task else ""
        cells = [
            f"`{method.name}`",
            tap,
            schedule,
            task,
            f"{method.supervised_weight:g}",
            method.paper,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
