"""Trains a network from labels, scores and exports it.

python tools/train.py --model=cnn_s --work_dir=runs/cnn_s
"""

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import fields

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "a network's name; `models` lists them")
flags.mark_flag_as_required("model")
fields.define("training.networks", "Network", only=("synchronized",))
cli.define_dataset_flags()
cli.define_training_flags()


def main():
    from indistill_tf import training

    recipe = fields.chosen(training.Recipe)
    network = training.Network(
        FLAGS.model, synchronized=FLAGS.synchronize_batch_norm
    )
    hop = training.Hop(network, recipe)

    def train(run):
        return {hop.role: training.run_hop(run, hop)[1]}

    table, saved_model = cli.recorded_run(train)
    print(f"\n{table}\n\nSavedModel: {saved_model}")
    print(cli.next_steps())


if __name__ == "__main__":
    cli.run(main, __doc__)
