"""Trains a network from labels, scores and exports it.

python tools/train.py --model=cnn_s --work_dir=runs/cnn_s
"""

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "a network's name; `models` lists them")
flags.mark_flag_as_required("model")
cli.define_dataset_flags()
cli.define_training_flags()


def main():
    from indistill_tf import training

    recipe = cli.recipe()
    images = cli.load_images()

    def job(folder):
        with cli.strategy_scope():
            _, result = training.run_hop(
                folder,
                lambda: training.build_network(FLAGS.model, images),
                images,
                recipe,
                seed=FLAGS.seed,
                data_service=FLAGS.data_service,
            )
        return {"student": result}

    table, saved_model = training.recorded_run(
        FLAGS.work_dir, cli.flags_text(), job, cli.default_flags_text()
    )
    print(f"\n{table}\n\nSavedModel: {saved_model}")


if __name__ == "__main__":
    cli.run(main, __doc__)
