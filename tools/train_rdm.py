"""Trains CIFD's rate-distortion modules on a teacher's embeddings.

python tools/train_rdm.py --teacher=runs/cnn_a/model.keras --work_dir=runs/rdm

tools/distill.py --method=cifd --task_options=modules=runs/rdm/modules.keras
then distils through them.
"""

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import fields

FLAGS = flags.FLAGS
flags.DEFINE_string("teacher", None, "a .keras file, or a network's name")
flags.DEFINE_string(
    "teacher_weights", None, "as `evaluate` takes with --weights"
)
fields.define(
    "training.networks", "Network", only=("head", "outputs", "pixels")
)
fields.define("training.modules", "ModulesRecipe")
flags.DEFINE_list(
    "options",
    "ce_weight=0.1,kl_weight=0.1",
    "of the modules, such as density=...",
)
flags.DEFINE_integer(
    "seed", 0, "of weights, noise, order and what is held out", 0, 2**32 - 1
)
flags.DEFINE_string("work_dir", None, "the modules and their record go here")
flags.mark_flags_as_required(["teacher", "work_dir"])
cli.define_dataset_flags()
cli.define_strategy_flags()


def main():
    from indistill_tf import cifd
    from indistill_tf import training
    from indistill_tf.training import modules
    from indistill_tf.training import teacher_score

    recipe = fields.chosen(
        training.ModulesRecipe,
        options=cli.options("options", "modules", cifd.OPTIONS),
    )
    texts = cli.flags_text(), cli.default_flags_text()
    with cli.strategy(), training.opened(FLAGS.work_dir, *texts) as folder:
        images = cli.load_images()
        teacher = fields.chosen(
            training.Network, name=FLAGS.teacher, weights=FLAGS.teacher_weights
        ).read(images)
        teacher_score.measure(teacher, images, "teacher")
        _, result = training.train_modules(
            folder, images, teacher, recipe, FLAGS.seed
        )
    print(f"\n{modules.summary(result)}\n\n{folder / modules.FILE}")


if __name__ == "__main__":
    cli.run(main, __doc__)
