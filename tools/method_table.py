"""The table of methods as a page to read."""

import dataclasses

from indistill_tf import schedules
from indistill_tf import tables
from indistill_tf.distillation.methods import METHODS

_INTRODUCTION = """\
# Methods

A method is a row: which losses, in which layers, in which epochs. This page is
what `tools/methods.py` prints; the rows are those of
`indistill_tf/distillation/methods.py`.

- **taps**: the intermediate layers that are compared, and the loss. *pruned*:
  on the teacher's maps pruned to the student's widths, as InDistill prunes.
- **adapters**: what is trained beside the student and left behind at export.
- **stages**: the schedule, from the epoch to the weight of each loss. *Closed
  form*: layers are fitted by regression, see [Warm-up](warm_up.md).
- **task**: the loss at the networks' end; none where it is the cross-entropy.
- **defaults**: options of the losses (`--tap_options`, `--task_options`), and
  *task : cross-entropy*, their weights under `--objective=classification` (the
  default: those of the reference), then under `--objective=retrieval` (the
  method's own loss alone, as in the InDistill papers). A method without a
  task keeps its cross-entropy: nothing else would train the networks' end.

Rows marked *extra* are methods that the InDistill papers name without
comparing with them.
"""


def page() -> str:
    """Returns the page, Markdown, with one row for each method."""
    rows = [_row(method) for method in METHODS.values()]
    table = tables.markdown([list(rows[0]), *(row.values() for row in rows)])
    of_classes = ", ".join(
        f"`{method.name}`"
        for method in METHODS.values()
        if any(loss.needs_classes for loss in _losses(method))
    )
    return (
        f"{_INTRODUCTION}\nOf classes that exclude each other, and not for "
        f"networks that end in sigmoids:\n{of_classes}.\n\n{table}\n"
    )


def _row(method):
    adapters = [loss.adapters for loss in _losses(method) if loss.adapters]
    extra = " (extra)" if method.extra else ""
    return {
        "method": f"`{method.name}`{extra}",
        "taps": _taps(method),
        "adapters": "; ".join(dict.fromkeys(adapters)) or "none",
        "stages": _stages(method),
        "task": f"`{method.task.__name__}`" if method.task else "none",
        "defaults": "; ".join(_defaults(method)),
        "paper": method.paper,
    }


def _losses(method):
    return [loss for loss in (method.tap, method.task) if loss]


def _taps(method):
    if method.tap is None:
        return "none"
    pruned = ", pruned" if method.pruned else ""
    return f"{method.taps}{pruned}: `{method.tap.__name__}`"


def _stages(method):
    stages = []
    if method.needs_auxiliary:
        all_of_them = ", all teach" if method.dense else ""
        stages.append(f"chain through auxiliaries{all_of_them}")
    if method.closed_form:
        stages.append("closed form before the first epoch")
    if method.preparation:
        stages.append(f"preparation={method.preparation}")
    if method.rotations:
        stages.append("four rotations")
    if not isinstance(method.schedule, schedules.TaskOnly) or method.tap:
        values = dataclasses.asdict(method.schedule).items()
        values = ", ".join(f"{name}={value:g}" for name, value in values)
        stages.append(f"{type(method.schedule).__name__}({values})")
    return ", ".join(stages) or "task only"


def _defaults(method):
    for loss, options in (
        (method.tap, method.tap_options),
        (method.task, method.task_options),
    ):
        if loss:
            options = {**loss.options(), **options}
            yield from (f"{name}={_text(v)}" for name, v in options.items())
    if method.task is None:
        yield f"none : {method.supervised_weight:g}"
        return
    both = method.classification, method.retrieval
    for task, supervised in dict.fromkeys(both):
        yield f"{task:.6g} : {supervised:g}"


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)
