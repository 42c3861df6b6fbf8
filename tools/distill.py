"""Distils a student from a teacher, if need be through an auxiliary teacher.

python tools/distill.py --flagfile=flags/quickstart.flags
"""

import cli
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string("teacher", None, "a model's name, or a .keras file")
flags.DEFINE_string("teacher_weights", None, "file; else trained from labels")
flags.DEFINE_integer("teacher_epochs", None, "else --epochs")
flags.DEFINE_string(
    "auxiliary", None, "a model's name, or auto: widened student"
)
flags.DEFINE_string("auxiliary_method", None, "else pkt; okd for takd")
flags.DEFINE_integer("auxiliary_epochs", None, "else --epochs")
flags.DEFINE_float("pruning_rate", 0.5, "q: auto is 1 / (1 - q) as wide")
flags.DEFINE_string("student", None, "a model's name")
flags.DEFINE_bool("student_alone", False, "train it from labels too")
flags.DEFINE_string("method", "indistill", "how the student is taught")
flags.DEFINE_string("task", None, "the method after indistill's warm-up")
flags.DEFINE_list("taps", "auto", "auto, or teacher:student layers")
flags.DEFINE_integer("a", 2, "tap i is trained for a + i * b epochs")
flags.DEFINE_integer("b", 1, "see --a")
flags.DEFINE_enum(
    "batch_norm", None, ["carry", "batch_statistics"], "of pruned maps"
)
flags.DEFINE_enum(
    "restart_optimizer", "stage", ["stage", "epoch", "never"], "a fresh Adam"
)
flags.DEFINE_float("task_weight", None, "else the method's")
flags.DEFINE_float(
    "supervised_weight", None, "of cross-entropy beside the task"
)
flags.mark_flags_as_required(["teacher", "student"])
cli.define_dataset_flags()
cli.define_training_flags()


def main():
    from indistill_tf import training

    recipe = cli.recipe(restart_optimizer=FLAGS.restart_optimizer)
    methods, taps = _methods(), _taps()
    images = cli.load_images()

    def job(folder):
        with cli.strategy_scope():
            return training.run_chain(
                folder,
                images,
                recipe,
                teacher=FLAGS.teacher,
                teacher_weights=FLAGS.teacher_weights,
                teacher_epochs=FLAGS.teacher_epochs,
                auxiliary=FLAGS.auxiliary,
                auxiliary_epochs=FLAGS.auxiliary_epochs,
                pruning_rate=FLAGS.pruning_rate,
                student=FLAGS.student,
                student_alone=FLAGS.student_alone,
                taps=taps,
                seed=FLAGS.seed,
                **methods,
            )

    table, saved_model = training.recorded_run(
        FLAGS.work_dir, cli.flags_text(), job
    )
    print(f"\n{table}\n\nLoss of each stage: {FLAGS.work_dir}/loss.png")
    print(f"SavedModel: {saved_model}")


def _methods():
    from indistill_tf import methods
    from indistill_tf import schedules

    weights = dict(
        task_weight=FLAGS.task_weight, supervised_weight=FLAGS.supervised_weight
    )
    method = methods.get(
        FLAGS.method, FLAGS.task, batch_norm=FLAGS.batch_norm, **weights
    )
    if isinstance(method.schedule, schedules.Curriculum):
        curriculum = schedules.Curriculum(FLAGS.a, FLAGS.b)
        method = methods.get(method, schedule=curriculum)
    return {
        "method": method,
        "auxiliary_method": methods.get(
            FLAGS.auxiliary_method or method.auxiliary_method, **weights
        ),
    }


def _taps():
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


if __name__ == "__main__":
    cli.run(main, __doc__)
