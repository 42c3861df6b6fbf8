"""The flags of `tools/distill.py` that choose and change a method."""

import dataclasses
import pathlib
import typing

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import fields

# Flags defined by the functions below belong to the tool that calls them.
flags.disclaim_key_flags()
FLAGS = flags.FLAGS

# Flags that replace a field of the method's schedule: the first that it has.
_SCHEDULE_FLAGS = {
    "warm_up": ("warm_up",),
    "w0": ("initial", "tap_weight"),
    "gamma": ("decay",),
}

# Defaults that have changed, and a flag whose lack in a record says that the
# run was begun before.
_FORMER_DEFAULTS = {"objective": "retrieval", "batch_norm": "carry"}
_CAME_WITH_THEM = "taps_resize"


def define():
    """Defines the flags."""
    flags.DEFINE_string("method", "indistill", "how the student is taught")
    flags.DEFINE_string("task", None, "the method after indistill's warm-up")
    flags.DEFINE_enum(
        "objective",
        "classification",
        ["classification", "retrieval"],
        "weights",
    )
    flags.DEFINE_float("task_weight", None, "else the objective's")
    flags.DEFINE_float(
        "supervised_weight", None, "of cross-entropy beside the task"
    )
    flags.DEFINE_list("taps", "auto", "auto, or teacher:student layers")
    flags.DEFINE_list("tap_options", "", "of the tap's loss: name=value,...")
    flags.DEFINE_list("task_options", "", "of the task: temperature=2,...")
    flags.DEFINE_bool("pruned", None, "the teacher's maps; else the method's")
    flags.DEFINE_bool("closed_form", None, "fit layers before the first epoch")
    flags.DEFINE_enum(
        "batch_norm", None, ["carry", "batch_statistics"], "of pruned maps"
    )
    flags.DEFINE_enum(
        "ranking",
        None,
        ["l1", "folded_l1", "energy", "reconstruction"],
        "of the channels to keep",
    )
    cached = ("teacher_cache_views", "teacher_cache")
    fields.define("training.run", "Run", only=cached)
    fields.define("training.distillation", "Distillation")
    flags.DEFINE_integer("a", 2, "tap i is trained for a + i * b epochs")
    flags.DEFINE_integer("b", 1, "see --a")
    flags.DEFINE_integer("warm_up", None, "epochs of the taps in two stages")
    flags.DEFINE_integer("preparation", None, "epochs on the teacher alone")
    flags.DEFINE_float("w0", None, "taps weigh w0 * gamma**epoch by the task")
    flags.DEFINE_float("gamma", None, "see --w0")
    # Each is of a single method's schedule.
    fields.RARE.update(("preparation", "w0", "gamma"))
    flags.DEFINE_enum(
        "restart_optimizer",
        "stage",
        ["stage", "epoch", "never"],
        "a fresh Adam",
    )


def keep_former_defaults():
    """Lets a work directory of before go on with the defaults of its time."""
    record = pathlib.Path(FLAGS.work_dir) / "flags.txt"
    if record.exists() and _CAME_WITH_THEM not in record.read_text(
        errors="replace"
    ):
        for name, value in _FORMER_DEFAULTS.items():
            FLAGS.set_default(name, value)


def distillation(epochs, name=None):
    """Returns the `Distillation` of the student's hop.

    Args:
        epochs: int, of the student's hop.
        name: string, a method in place of the flag's. Defaults to None.
    """
    from indistill_tf import methods
    from indistill_tf import training

    method = methods.get(
        name or FLAGS.method,
        FLAGS.task,
        batch_norm=FLAGS.batch_norm,
        ranking=FLAGS.ranking,
        pruned=FLAGS.pruned,
        closed_form=FLAGS.closed_form,
        preparation=FLAGS.preparation,
        **_weights(),
    )
    method = methods.get(
        method,
        schedule=_schedule(method, epochs),
        tap_options=_options("tap", method.tap),
        task_options=_options("task", method.task),
    )
    return fields.chosen(
        training.Distillation,
        method=method,
        taps=_taps(),
        modules=_modules(method),
    )


def auxiliary(method):
    """Returns the `Distillation` of the auxiliaries' hops.

    Args:
        method: the student's.
    """
    from indistill_tf import methods
    from indistill_tf import training

    name = FLAGS.auxiliary_method or method.auxiliary_method
    return training.Distillation(
        methods.get(name, batch_norm=FLAGS.batch_norm, **_weights()),
        taps_resize=FLAGS.taps_resize,
        global_batch=FLAGS.global_batch,
    )


def _weights():
    from indistill_tf.errors import UserError

    if FLAGS.task_weight == 0:
        raise UserError(
            "--task_weight must be above 0. Received: --task_weight=0.0. "
            "Without a task there is nothing to learn from the teacher: use "
            "`train`."
        )
    return dict(
        objective=FLAGS.objective,
        task_weight=FLAGS.task_weight,
        supervised_weight=FLAGS.supervised_weight,
    )


def _modules(method):
    """Returns the recipe of CIFD's modules that the run trains, or None."""
    from indistill_tf import cifd
    from indistill_tf import training

    own = method.task is cifd.ControlledInformationFlow
    named = "modules" in method.task_options
    return training.ModulesRecipe() if own and not named else None


def _taps():
    """Returns `"auto"` or the pairs of layers that --taps names."""
    from indistill_tf.errors import UserError

    if FLAGS.taps == ["auto"]:
        return "auto"
    pairs = [tuple(names.split(":")) for names in FLAGS.taps]
    if not all(len(pair) == 2 for pair in pairs):
        raise UserError(
            "--taps takes teacher:student layers, such as tap_1:tap_1,"
            f"tap_2:tap_2. Received: {','.join(FLAGS.taps)}"
        )
    return pairs


def _schedule(method, epochs):
    from indistill_tf import schedules
    from indistill_tf.errors import UserError

    schedule = method.schedule
    if isinstance(schedule, schedules.Curriculum):
        schedule = dataclasses.replace(schedule, a=FLAGS.a, b=FLAGS.b)
    fields = {field.name for field in dataclasses.fields(schedule)}
    for flag, names in _SCHEDULE_FLAGS.items():
        value = FLAGS[flag].value
        if value is None:
            continue
        if fields.isdisjoint(names):
            raise UserError(
                f"--{flag} means nothing to method {method.name!r}, whose "
                f"schedule is {schedule}. Leave it out."
            )
        (field,) = fields.intersection(names)
        schedule = dataclasses.replace(schedule, **{field: value})
    if isinstance(schedule, schedules.TwoStage):
        # A falling weight ends its fall in the last epoch.
        rest = epochs - method.preparation - schedule.warm_up - 1
        schedule = dataclasses.replace(schedule, falling=max(rest, 0))
    return schedule


def _options(kind, loss):
    """Returns the options of `--tap_options` or `--task_options`."""
    known, owner = {}, f"{FLAGS.method!r}, which has no loss there"
    if loss is not None:
        owner = loss.__name__
        hints = typing.get_type_hints(loss.__init__)
        known = {name: _type(hints[name]) for name in loss.options()}
    return cli.options(f"{kind}_options", owner, known)


def _type(hint):
    """Returns the type of what a flag gives, where others are possible too."""
    kinds = typing.get_args(hint) or (hint,)
    return next(kind for kind in (bool, int, float, str) if kind in kinds)
