"""Exports a finished run's student as a SavedModel.

python tools/export.py --work_dir=runs/quickstart --check
"""

import pathlib

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("work_dir", None, "of a run of `distill` or `train`")
flags.DEFINE_string(
    "output", None, "a directory; WORK_DIR/saved_model by default"
)
flags.DEFINE_bool("check", False, "reload it in a new process and compare")
flags.mark_flag_as_required("work_dir")


def main():
    import numpy as np

    from indistill_tf import deploy
    from indistill_tf import training

    folder = pathlib.Path(FLAGS.work_dir)
    output = pathlib.Path(FLAGS.output or folder / "saved_model")
    model, preprocessing = training.export_run(folder, output)
    print(f"SavedModel: {output}")
    if FLAGS.check:
        noise = np.random.default_rng(0).integers(
            0, 256, (16, *preprocessing.input_shape), "uint8"
        )
        difference = deploy.check(output, model, preprocessing, noise)
        print(f"Reloaded: largest difference to the model {difference:.2g}")


if __name__ == "__main__":
    cli.run(main, __doc__)
