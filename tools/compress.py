"""Compresses a finished run's student and compares what it could ship.

python tools/compress.py --work_dir=runs/quickstart --epochs=8

A run's own flags say what it was trained on, by whom and how, unless they are
given here. What is trained goes on as the run was in the end, its warm-up over.
With --method=none it goes on from labels alone, with another name by that one.
"""

import dataclasses
import functools
import pathlib

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import fields
from indistill_tf_tools import flag_texts
from indistill_tf_tools import method_flags

_AS_TRAINED = "as_trained"

FLAGS = flags.FLAGS
flags.DEFINE_string("work_dir", None, "of a finished run of distill or train")
flags.DEFINE_string("output", None, "a folder; WORK_DIR/compress by default")
flags.DEFINE_list("rungs", None, "what to compare; a wrong name lists all")
flags.DEFINE_integer("epochs", 8, "more, of rungs that are trained", 1)
flags.DEFINE_float("learning_rate", None, "of these; else the run's", 0.0)
flags.DEFINE_string("teacher", None, "of a run that has trained none")
flags.DEFINE_string("teacher_weights", None, "its weights")
fields.define("training.networks", "Network")
fields.define("training.run", "Run", only=("seed",))
method_flags.define()
FLAGS.set_default("method", _AS_TRAINED)
cli.define_dataset_flags()
flags.mark_flag_as_required("work_dir")

# Flags of the ladder alone, whatever the run's are.
_OWN = {
    *("work_dir", "output", "rungs", "epochs", "learning_rate", "seed"),
    "method",
}
_TEACHER_FLAGS = (
    *("teacher", "teacher_weights", "teacher_head", "teacher_outputs"),
    "teacher_pixels",
)


def main():
    from indistill_tf import training
    from indistill_tf.training.ladder import reporting
    from indistill_tf.training.ladder import running

    folder = pathlib.Path(FLAGS.work_dir)
    images = cli.load_images_of(folder, *_TEACHER_FLAGS)
    ladder = _ladder(folder, images)
    output = FLAGS.output or folder / reporting.FOLDER
    with training.opened(output, *_flags_texts()) as output:
        run = fields.chosen(training.Run, folder=output, images=images)
        record = running.run_ladder(run, ladder)
        table = reporting.table(record)
        (output / "ladder.md").write_text(table)
        reporting.plot(record, output / "ladder.png")
    print(f"\n{table}\nPlot: {output}/ladder.png")


def _flags_texts():
    """Returns the flags and the defaults among them, but for the rungs.

    A ladder may get more rungs later.
    """
    texts = cli.flags_text(), cli.default_flags_text()
    return [
        "".join(
            line
            for line in text.splitlines(keepends=True)
            if not line.startswith("--rungs=")
        )
        for text in texts
    ]


def _ladder(folder, images):
    from indistill_tf.training import promises
    from indistill_tf.training.ladder import rungs
    from indistill_tf.training.ladder import running

    chosen = rungs.chosen(FLAGS.rungs or rungs.DEFAULT)
    result = promises.read(folder / promises.RECORD)
    recipe = _recipe(result["recipe"])
    distillation = _distillation(folder, result["method"], recipe.epochs)
    networks = _networks(folder, images)
    return running.Ladder(chosen, networks, recipe, distillation)


def _distillation(folder, trained_by, epochs):
    """Returns how the student goes on; None from labels alone."""
    if FLAGS.method not in ("none", _AS_TRAINED):
        return method_flags.distillation(epochs)
    if FLAGS.method == "none" or trained_by is None:
        return None
    method_flags.keep_former_defaults()
    cli.take_over(folder, {flag.name for flag in flag_texts.of_tool()} - _OWN)
    # As in `closed_form+similarity_okd`, whose task is a flag of its own.
    name, _, _ = trained_by.partition("+")
    whole = method_flags.distillation(epochs, name)
    rest = whole.method.continued()
    return rest and dataclasses.replace(whole, method=rest)


def _recipe(recorded):
    """Returns the run's recipe, stretched to the epochs that are added."""
    from indistill_tf import training

    known = {field.name for field in dataclasses.fields(training.Recipe)}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in recorded.items()
        if name in known
    }
    recipe = training.Recipe(**{**values, "max_steps": None})
    recipe = recipe.scaled(FLAGS.epochs)
    if FLAGS.learning_rate is None:
        return recipe
    return dataclasses.replace(recipe, learning_rate=FLAGS.learning_rate)


def _networks(folder, images):
    """Returns functions by role that read the run's networks."""
    from indistill_tf import training
    from indistill_tf.training.ladder import running

    places = {"student": folder}
    auxiliaries = sorted(folder.glob("auxiliary*/result.json"))
    if auxiliaries:
        places["auxiliary"] = auxiliaries[-1].parent
    if (folder / "teacher" / "result.json").exists():
        places["teacher"] = folder / "teacher"
    networks = {
        role: functools.partial(running.finished, place)
        for role, place in places.items()
    }
    if FLAGS.teacher and "teacher" not in networks:
        teacher = fields.chosen(
            training.Network, name=FLAGS.teacher, weights=FLAGS.teacher_weights
        )
        networks["teacher"] = functools.partial(teacher.read, images)
    return networks


if __name__ == "__main__":
    cli.run(main, __doc__)
