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
    _print_row("model", "parameters", "embedding", "feature maps")
    for name in models.BUILDERS:
        try:
            model = models.build(name, shape, FLAGS.num_classes)
        except UserError as error:
            _print_row(name, "-", "-", str(error).partition(". ")[0])
        else:
            _print_row(name, *_sizes(model), _maps(model))
    print()
    _print_row("text tower", "parameters", "embedding", "tokens")
    for name in models.TEXT_BUILDERS:
        model = models.build_text(name)
        _print_row(name, *_sizes(model), str(model.inputs[0].shape[1]))
    names = textwrap.fill(", ".join(models.APPLICATIONS), 100)
    print(f"\nand from keras.applications:\n{names}")


def _print_row(*cells):
    """Prints a row at once: to build all networks takes half a minute."""
    from indistill_tf import tables

    print(tables.aligned([cells], left=(0, 3), least=(23, 11, 9), rule=False))


def _sizes(model):
    from indistill_tf import endpoints
    from indistill_tf import evaluation

    count = evaluation.parameters(model)
    width = endpoints.endpoint(model, "embedding").shape[-1]
    return f"{count:,}", str(width)


def _maps(model):
    from indistill_tf import endpoints

    return ", ".join(
        f"{name} {'x'.join(map(str, tensor.shape[1:]))}"
        for name, tensor in endpoints.feature_maps(model).items()
    )


if __name__ == "__main__":
    cli.run(main, __doc__)
