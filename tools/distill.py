"""Distils a student from a teacher, if need be through an auxiliary teacher.

python tools/distill.py --flagfile=flags/quickstart.flags
"""

import functools

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import fields
from indistill_tf_tools import method_flags

FLAGS = flags.FLAGS
flags.DEFINE_string("teacher", None, "a model's name, or a .keras file")
flags.DEFINE_string(
    "teacher_weights", None, "trained; it is trained from labels by default"
)
flags.DEFINE_integer(
    "teacher_epochs", None, "of the teacher; --epochs by default"
)
fields.define("training.networks", "Network")
flags.DEFINE_list("auxiliary", "", "models' names, or auto: widened student")
flags.DEFINE_string("auxiliary_method", None, "pkt by default; takd's is okd")
flags.DEFINE_integer("auxiliary_epochs", None, "of each; --epochs by default")
flags.DEFINE_list("pruning_rate", "0.5", "q: auto is 1 / (1 - q) as wide")
flags.DEFINE_string("student", None, "a model's name")
fields.define("training.chain", "Chain")
method_flags.define()
flags.mark_flags_as_required(["teacher", "student"])
cli.define_dataset_flags()
cli.define_training_flags()


def main():
    from indistill_tf import training

    method_flags.keep_former_defaults()
    recipe = fields.chosen(
        training.Recipe, restart_optimizer=FLAGS.restart_optimizer
    )
    distillation = method_flags.distillation(recipe.epochs)
    chain = fields.chosen(
        training.Chain,
        teacher=fields.chosen(
            training.Network,
            name=FLAGS.teacher,
            weights=FLAGS.teacher_weights,
            epochs=FLAGS.teacher_epochs,
        ),
        student=training.Network(
            FLAGS.student, synchronized=FLAGS.synchronize_batch_norm
        ),
        recipe=recipe,
        distillation=distillation,
        auxiliaries=_auxiliaries(),
        auxiliary_distillation=method_flags.auxiliary(distillation.method),
    )
    table, saved_model = cli.recorded_run(
        functools.partial(training.run_chain, chain=chain)
    )
    print(f"\n{table}\n\nLoss of each stage: {FLAGS.work_dir}/loss.png")
    print(f"SavedModel: {saved_model}")
    print(cli.next_steps())


def _auxiliaries():
    """Returns the auxiliary networks, each with its pruning rate."""
    from indistill_tf import errors
    from indistill_tf import training

    names, rates = FLAGS.auxiliary, fields.numbers("pruning_rate")
    if len(rates) == 1:
        rates *= len(names)
    if names and len(rates) != len(names):
        raise errors.UserError(
            f"There are {len(names)} auxiliaries and {len(rates)} pruning "
            "rates. Give one for each, or one for all."
        )
    return [
        training.Network(
            name,
            epochs=FLAGS.auxiliary_epochs,
            pruning_rate=rate,
            synchronized=FLAGS.synchronize_batch_norm,
        )
        for name, rate in zip(names, rates)
    ]


if __name__ == "__main__":
    cli.run(main, __doc__)
