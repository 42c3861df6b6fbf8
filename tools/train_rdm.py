"""Trains CIFD's rate-distortion modules on a teacher's embeddings.

python tools/train_rdm.py --teacher=runs/cnn_a/student.keras --work_dir=runs/rdm

tools/distill.py --method=cifd --task_options=modules=runs/rdm/modules.keras
then distils through them.
"""

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("teacher", None, "a .keras file, or a network's name")
flags.DEFINE_string(
    "teacher_weights", None, "as `evaluate` takes with --weights"
)
flags.DEFINE_list("trade_offs", "", "R of each module; found by default, from")
flags.DEFINE_list(
    "points_below", "2,4,8", "its accuracy, in points below the teacher's"
)
flags.DEFINE_string("architecture", "cifar_pair", "how the modules are built")
flags.DEFINE_list(
    "options",
    "ce_weight=0.1,kl_weight=0.1",
    "of the modules, such as density=...",
)
flags.DEFINE_integer("epochs", 10, "on the teacher's embeddings", 1)
flags.DEFINE_integer("batch_size", 256, "embeddings a step", 1)
flags.DEFINE_float("learning_rate", 5e-3, "of Adam; it falls along a cosine")
flags.DEFINE_float(
    "held_out", 0.05, "part of the training images, to measure on"
)
flags.DEFINE_integer(
    "seed", 0, "of weights, noise, order and what is held out", 0
)
flags.DEFINE_string("work_dir", None, "the modules and their record go here")
flags.mark_flags_as_required(["teacher", "work_dir"])
cli.define_dataset_flags()


def main():
    from indistill_tf import cifd
    from indistill_tf import training
    from indistill_tf.training import modules

    recipe = training.ModulesRecipe(
        trade_offs=cli.numbers("trade_offs"),
        points_below=cli.numbers("points_below"),
        architecture=FLAGS.architecture,
        epochs=FLAGS.epochs,
        batch_size=FLAGS.batch_size,
        learning_rate=FLAGS.learning_rate,
        held_out=FLAGS.held_out,
        options=cli.options("options", "modules", cifd.OPTIONS),
    )
    images = cli.load_images()
    teacher = training.read_teacher(
        FLAGS.teacher, FLAGS.teacher_weights, images
    )
    texts = cli.flags_text(), cli.default_flags_text()
    with training.opened(FLAGS.work_dir, *texts) as folder:
        _, result = training.train_modules(
            folder, images, teacher, recipe, FLAGS.seed
        )
    print(f"\n{modules.summary(result)}\n\n{folder / 'modules.keras'}")


if __name__ == "__main__":
    cli.run(main, __doc__)
