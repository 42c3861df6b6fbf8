"""Lists the networks with their feature maps and parameters.

python tools/models.py --image_size=32 --channels=3 --num_classes=10
"""

import textwrap

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 32, "pixels a side")
flags.DEFINE_integer("channels", 3, "1 for grey images")
flags.DEFINE_integer("num_classes", 10, "of the classifier")


def main():
    from indistill_tf import models
    from indistill_tf.errors import UserError

    shape = (FLAGS.image_size, FLAGS.image_size, FLAGS.channels)
    print(f"{'model':<24}{'parameters':>12}{'embedding':>11}  feature maps")
    for name in models.BUILDERS:
        try:
            model = models.build(name, shape, FLAGS.num_classes)
        except UserError as error:
            reason = str(error).partition(". ")[0]
            print(f"{name:<24}{'-':>12}{'-':>11}  {reason}")
            continue
        print(f"{_columns(name, model)}  {_maps(model)}")
    print(f"\n{'text tower':<24}{'parameters':>12}{'embedding':>11}  tokens")
    for name in models.TEXT_BUILDERS:
        model = models.build_text(name)
        print(f"{_columns(name, model)}  {model.inputs[0].shape[1]}")
    names = textwrap.fill(", ".join(models.APPLICATIONS), 100)
    print(f"\nand from keras.applications:\n{names}")


def _columns(name, model):
    from indistill_tf import endpoints
    from indistill_tf import evaluation

    count = evaluation.parameters(model)
    width = endpoints.endpoint(model, "embedding").shape[-1]
    return f"{name:<24}{count:>12,}{width:>11}"


def _maps(model):
    from indistill_tf import endpoints

    return ", ".join(
        f"{name} {'x'.join(map(str, tensor.shape[1:]))}"
        for name, tensor in endpoints.feature_maps(model).items()
    )


if __name__ == "__main__":
    cli.run(main, __doc__)
