"""Distils a student from a teacher, if need be through an auxiliary teacher.

python tools/distill.py --flagfile=flags/quickstart.flags
"""

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import method_flags

FLAGS = flags.FLAGS
flags.DEFINE_string("teacher", None, "a model's name, or a .keras file")
flags.DEFINE_string(
    "teacher_weights", None, "as evaluate.py --weights; else from labels"
)
flags.DEFINE_integer("teacher_epochs", None, "else --epochs")
flags.DEFINE_list("auxiliary", "", "models' names, or auto: widened student")
flags.DEFINE_string("auxiliary_method", None, "else pkt; okd for takd; dgkd")
flags.DEFINE_integer("auxiliary_epochs", None, "else --epochs")
flags.DEFINE_list("pruning_rate", "0.5", "q: auto is 1 / (1 - q) as wide")
flags.DEFINE_string("student", None, "a model's name")
flags.DEFINE_bool("student_alone", False, "train it from labels too")
method_flags.define()
flags.mark_flags_as_required(["teacher", "student"])
cli.define_dataset_flags()
cli.define_training_flags()


def main():
    from indistill_tf import training

    recipe = cli.recipe(restart_optimizer=FLAGS.restart_optimizer)
    methods = method_flags.chosen_methods(recipe.epochs)
    taps = method_flags.chosen_taps()
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
                pruning_rate=cli.numbers("pruning_rate"),
                student=FLAGS.student,
                student_alone=FLAGS.student_alone,
                taps=taps,
                global_batch=FLAGS.global_batch,
                seed=FLAGS.seed,
                data_service=FLAGS.data_service,
                teacher_cache_views=FLAGS.teacher_cache_views or 0,
                teacher_cache=FLAGS.teacher_cache,
                information_bottleneck=FLAGS.information_bottleneck,
                modules=method_flags.chosen_modules(methods["method"]),
                **methods,
            )

    table, saved_model = training.recorded_run(
        FLAGS.work_dir, cli.flags_text(), job, cli.default_flags_text()
    )
    print(f"\n{table}\n\nLoss of each stage: {FLAGS.work_dir}/loss.png")
    print(f"SavedModel: {saved_model}")


if __name__ == "__main__":
    cli.run(main, __doc__)
