"""The table of methods: a method is which losses, where, and when."""

import dataclasses
import math
from collections.abc import Callable

import keras

from indistill_tf import cifd
from indistill_tf import losses
from indistill_tf.distillation import schedules
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

OBJECTIVES = ("retrieval", "classification")


@dataclasses.dataclass(frozen=True)
class Method:
    """A distillation method as a row.

    Attributes:
        name: string.
        paper: string, where it was published.
        task: what the student learns at its end: a `DistillationLoss` class;
            a loss, as `indistill_tf.losses.as_distillation_loss` takes it; a
            list of `(loss, weight)`; or None for a method whose task is the
            supervised loss alone.
        task_options: dict, arguments of the task's class.
        tap: the `DistillationLoss` class of one tap, or None for a method
            without intermediate layers.
        tap_options: dict, arguments of the tap's class.
        taps: which of the paired layers are compared, see
            `indistill_tf.taps.choose`.
        pruned: bool, whether the teacher's maps are pruned to the student's
            widths before the tap's loss.
        closed_form: bool, whether the student's layers are fitted to the
            pruned teacher's by regression before the first epoch, see
            `Distiller.warm_up_in_closed_form`.
        batch_norm: how pruned maps are normalised, see
            `indistill_tf.pruning.narrow_batch_norm`. A map behind which no
            batch normalisation is rebuilt is the same either way.
        ranking: which of the teacher's channels pruning keeps: a name of
            `indistill_tf.rankings.RANKINGS`, or a function from a symbolic map
            to scores, such as `indistill_tf.rankings.Energy(images)`.
        schedule: from the epoch to the weights of taps and task.
        preparation: int, the epochs before the schedule's first, in which the
            tap's loss is prepared on the teacher alone.
        rotations: bool, whether both networks see each image in four
            rotations.
        task_weight: float, the weight of the task's loss.
        supervised_weight: float, the weight of the loss given to `compile`
            (cross-entropy) beside the task's. With 0 the labels count for
            nothing, as in the papers' retrieval.
        classification: the `(task_weight, supervised_weight)` of the
            reference's classification runs.
        retrieval: the same of the papers' retrieval, by default what
            `task_weight` and `supervised_weight` are when the row is written.
        auxiliary_method: string, how a chain's teacher teaches the auxiliary.
        needs_auxiliary: bool, whether the method is a chain by definition.
        dense: bool, whether in a chain a network learns from the teacher and
            all auxiliaries before it, not from the last one.
        extra: bool, whether the papers name the method without comparing
            with it.
    """

    name: str
    paper: str
    task: object = None
    task_options: dict = dataclasses.field(default_factory=dict)
    tap: type | None = None
    tap_options: dict = dataclasses.field(default_factory=dict)
    taps: str = "all"
    pruned: bool = False
    closed_form: bool = False
    batch_norm: str = "batch_statistics"
    ranking: Callable | str = "l1"
    schedule: object = schedules.TaskOnly()
    preparation: int = 0
    rotations: bool = False
    task_weight: float = 1.0
    supervised_weight: float = 0.0
    classification: tuple = (1.0, 1.0)
    retrieval: tuple | None = None
    auxiliary_method: str = "pkt"
    needs_auxiliary: bool = False
    dense: bool = False
    extra: bool = False

    def __post_init__(self):
        if self.retrieval is None:
            object.__setattr__(self, "retrieval", self.weights)

    @property
    def warms_up(self) -> bool:
        """Whether there is more than the task: taps, or a closed form."""
        return self.tap is not None or self.closed_form

    @property
    def weights(self) -> tuple[float, float]:
        """The `(task_weight, supervised_weight)` that are in force."""
        return self.task_weight, self.supervised_weight

    def stage(self, epoch: int, num_taps: int) -> int:
        """Returns the deepest stage of an epoch, counted from 1.

        Args:
            epoch: int, counted from 0.
            num_taps: int, T; T + 1 is the task's stage, 0 the preparation's.
        """
        if epoch < self.preparation:
            return 0
        weights = self.schedule.weights(epoch - self.preparation, num_taps)
        return max(i for i, weight in enumerate(weights, 1) if weight)

    def check(self, epochs: int, num_taps: int) -> None:
        """Checks that an epoch budget suffices.

        Args:
            epochs: int, the budget.
            num_taps: int.

        Raises:
            UserError: if not; the message prints the arithmetic.
        """
        if self.preparation and epochs <= self.preparation:
            raise UserError(
                f"Method {self.name!r} prepares its loss for "
                f"{self.preparation} epochs before the student learns, but "
                f"the budget is {epochs}. Use {self.preparation + 1} epochs "
                "or more, or a shorter `preparation`."
            )
        self.schedule.check(epochs - self.preparation, num_taps)

    def without_warm_up(self) -> "Method":
        """Returns the method's task alone, from the first epoch on.

        Its weights stay, so that a comparison shows what the warm-up brings.

        Raises:
            UserError: if the method has no warm-up, or no task.
        """
        if not self.warms_up or self.task is None:
            raise UserError(
                f"Method {self.name!r} has no warm-up before a task. Leave out "
                "`without_warm_up`, or choose a method that has, such as "
                "'indistill'."
            )
        rows = METHODS.values()
        names = [row.name for row in rows if _is_task_alone(row, self.task)]
        return dataclasses.replace(
            self,
            name=names[0] if names else f"{self.name} without warm-up",
            tap=None,
            tap_options={},
            pruned=False,
            closed_form=False,
            schedule=schedules.TaskOnly(),
            preparation=0,
            rotations=False,
        )

    def by_closed_form(self) -> "Method":
        """Returns the method's task after a closed form in place of its taps.

        Its weights stay, as in `without_warm_up`.

        Raises:
            UserError: see `without_warm_up`.
        """
        alone = self.without_warm_up()
        name = f"closed_form+{alone.name}"
        return dataclasses.replace(alone, name=name, closed_form=True)

    def continued(self) -> "Method | None":
        """Returns what goes on after a training by the method has ended.

        Taps that are compared to the end go on; a closed form, and taps whose
        time was over, do not. The weights stay.

        Returns:
            `Method`, or None where labels alone are left, as after FSP.
        """
        if isinstance(self.schedule, schedules.Simultaneous):
            return dataclasses.replace(self, closed_form=False)
        if not self.warms_up:
            return self
        return self.without_warm_up() if self.task is not None else None


def _is_task_alone(method, task):
    return not method.warms_up and method.task is task


_PKT_PAPER = "Passalis et al., 2020 (arXiv 2005.00727)"
_INDISTILL = Method(
    name="indistill",
    paper="Sarridis et al., 2022 (arXiv 2205.10003)",
    tap=losses.FeatureMSE,
    pruned=True,
    schedule=schedules.Curriculum(a=2, b=1),
    task=losses.ProbabilisticJeffreys,
    classification=(30000.0, 1.0),
)

METHODS = {
    method.name: method
    for method in (
        Method(
            name="okd",
            paper="Hinton et al., 2015 (arXiv 1503.02531)",
            task=losses.SoftenedKL,
            classification=(0.9, 0.1),
        ),
        Method(
            name="hints",
            paper="Romero et al., 2015 (arXiv 1412.6550)",
            tap=losses.Hints,
            taps="middle",
            schedule=schedules.TwoStage(12, first=4.0, last=1.0, falling=58),
            task=losses.SoftenedKL,
            task_options={"temperature": 3.0},
            # Its soft cross-entropy has no factor of the squared temperature.
            task_weight=1 / 9,
            classification=(1 / 9, 1.0),
        ),
        Method(
            name="hints_joint",
            paper="Romero et al., 2015 (arXiv 1412.6550), as in benchmarks",
            tap=losses.Hints,
            taps="middle",
            schedule=schedules.Simultaneous(tap_weight=100.0),
            supervised_weight=1.0,
        ),
        Method(
            name="at",
            paper="Zagoruyko and Komodakis, 2017 (arXiv 1612.03928)",
            tap=losses.AttentionTransfer,
            schedule=schedules.Simultaneous(tap_weight=1000.0),
            supervised_weight=1.0,
        ),
        Method(
            name="mkt",
            paper="Yu et al., 2019 (arXiv 1904.03624), relative teacher",
            task=losses.MetricRelative,
            classification=(0.3, 1.0),
        ),
        Method(
            name="mkt_absolute",
            paper="Yu et al., 2019 (arXiv 1904.03624), absolute teacher",
            task=losses.MetricAbsolute,
        ),
        Method(
            name="fsp",
            paper="Yim et al., 2017 (CVPR)",
            tap=losses.FlowOfSolution,
            taps="consecutive",
            # Its matrices must be of one size, so widths must agree.
            pruned=True,
            schedule=schedules.TwoStage(12),
            supervised_weight=1.0,
        ),
        Method(
            name="takd",
            paper="Mirzadeh et al., 2020 (arXiv 1902.03393)",
            task=losses.SoftenedKL,
            classification=(0.5, 0.5),
            auxiliary_method="okd",
            needs_auxiliary=True,
        ),
        Method(
            name="dgkd",
            paper="Son et al., 2021 (arXiv 2009.08825)",
            task=losses.DenselyGuided,
            classification=(0.9, 0.1),
            auxiliary_method="dgkd",
            needs_auxiliary=True,
            dense=True,
        ),
        Method(
            name="srrl",
            paper="Yang et al., 2021 (ICLR)",
            task=losses.SoftmaxRegression,
        ),
        Method(
            name="pkt",
            paper=f"{_PKT_PAPER}, two kernels",
            task=losses.ProbabilisticJeffreys,
            classification=(30000.0, 1.0),
        ),
        Method(
            name="pkt_kl",
            paper="Passalis and Tefas, 2018 (arXiv 1803.10837)",
            task=losses.ProbabilisticKL,
            classification=(30000.0, 1.0),
        ),
        Method(
            name="similarity_kl",
            paper="Koohpayegani et al., 2020 (arXiv 2010.14713), in a batch",
            task=losses.SimilarityKL,
        ),
        Method(
            name="similarity_okd",
            paper="Koohpayegani et al., 2020 (arXiv 2010.14713), in a batch; "
            "Hinton et al., 2015 (arXiv 1503.02531)",
            task=losses.SimilarityWithClasses,
        ),
        Method(
            name="crd",
            paper="Tian et al., 2019 (arXiv 1910.10699)",
            task=losses.ContrastiveRepresentation,
            classification=(0.8, 1.0),
        ),
        Method(
            name="pkt_h_cr",
            paper=_PKT_PAPER,
            tap=losses.ProbabilisticJeffreys,
            schedule=schedules.CriticalPeriod(initial=100.0, decay=0.7),
            task=losses.ProbabilisticJeffreys,
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
            classification=(0.9, 0.1),
        ),
        Method(
            name="dkd",
            paper="Zhao et al., 2022 (arXiv 2203.08679)",
            task=losses.DecoupledKL,
            extra=True,
        ),
        Method(
            name="cifd",
            paper="Saidutta et al., 2024 (NeurIPS)",
            task=cifd.ControlledInformationFlow,
            supervised_weight=1.0,
        ),
        Method(
            name="hsakd",
            paper="Yang et al., 2021 (arXiv 2107.13715)",
            tap=losses.HierarchicalSelfSupervision,
            rotations=True,
            preparation=10,
            schedule=schedules.Simultaneous(),
            task=losses.SoftenedKL,
            task_options={"temperature": 3.0},
            supervised_weight=1.0,
            extra=True,
        ),
        Method(
            name="factor_transfer",
            paper="Kim et al., 2018 (arXiv 1802.04977)",
            tap=losses.FactorTransfer,
            taps="last",
            preparation=6,
            schedule=schedules.Simultaneous(tap_weight=500.0),
            supervised_weight=1.0,
            extra=True,
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
        Method(
            name="closed_form",
            paper="ours, after Sarridis et al., 2022 (arXiv 2205.10003)",
            closed_form=True,
            task=losses.ProbabilisticJeffreys,
            classification=(30000.0, 1.0),
        ),
    )
}


def get(
    method: Method | str,
    task: object = None,
    objective: str | None = None,
    **changes,
) -> Method:
    """Returns a method, by name or changed.

    Args:
        method: a key of `METHODS`, or a `Method`.
        task: what replaces this method's task, as in InDistill with OKD: the
            name of another method, whose weights come along, or a loss, its
            name in Keras, or a list of `(loss, weight)`, see `Method.task`.
            Defaults to None.
        objective: `"classification"` weighs the method's loss and the
            cross-entropy as the reference's classification runs do;
            `"retrieval"` takes the method's loss alone, as the papers do for
            embeddings, and leaves a classifier untrained. Methods without a
            task have one setting. Defaults to None: `"classification"` for a
            name, and the weights that it has for a `Method`.
        **changes: fields of `Method` to replace; None leaves a field alone,
            and `task_options` and `tap_options` are added to the method's.

    Returns:
        `Method`.

    Raises:
        UserError: if a name is unknown, or the method takes no other task.

    Example:

    ```python
    indistill_tf.methods.get("indistill", task="okd")
    indistill_tf.methods.get("indistill", task=[(my_loss, 1.0), ("mse", 0.1)])
    ```
    """
    if objective not in (None, *OBJECTIVES):
        raise unknown_name("objective", objective, OBJECTIVES)
    named = not isinstance(method, Method)
    if named:
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
        method = METHODS[method]
    # A task that joins a classifier's method comes with its own weights of
    # classification.
    if objective is None and (named or method.weights == method.classification):
        objective = "classification"
    if task is not None:
        method = _with_task(method, task)
    if objective is not None and method.task is not None:
        method = _weighed(method, *getattr(method, objective))
    changes = {
        key: value for key, value in changes.items() if value is not None
    }
    _check_weights(changes)
    for name in ("task_options", "tap_options"):
        if name in changes:
            changes[name] = {**getattr(method, name), **changes[name]}
    return dataclasses.replace(method, **changes)


def _check_weights(changes):
    for name in ("task_weight", "supervised_weight"):
        value = changes.get(name)
        # Also of NaN.
        if value is not None and not 0 <= value < math.inf:
            raise UserError(
                f"`{name}` must be 0 or more. Received: `{name}={value}`"
            )


def _weighed(method, task, supervised):
    return dataclasses.replace(
        method, task_weight=task, supervised_weight=supervised
    )


def _with_task(method, task):
    if not method.warms_up:
        if task == method.name:
            return method
        raise UserError(
            f"Method {method.name!r} is its own task. Choose another task only "
            "for a method with a warm-up, such as 'indistill'. "
            f"Received: task={task!r}"
        )
    tasks = {name: row for name, row in METHODS.items() if not row.warms_up}
    if isinstance(task, str) and task in tasks:
        row, name = tasks[task], f"{method.name}+{task}"
        if row.task is method.task:
            name = method.name
    elif isinstance(task, str) and not _is_loss_of_keras(task):
        raise unknown_name("task", task, tasks)
    else:
        # A loss of the user's own, with the weights that a row begins with.
        row, name = Method("", "", task=task), f"{method.name}+own"
    fields = ("task", "task_options", "task_weight", "classification", "dense")
    changes = {field: getattr(row, field) for field in fields}
    changes["retrieval"] = row.task_weight, method.retrieval[1]
    return dataclasses.replace(method, name=name, **changes)


def _is_loss_of_keras(name):
    try:
        return callable(keras.losses.get(name))
    except ValueError:
        return False
