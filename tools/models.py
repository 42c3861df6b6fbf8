"""Lists the networks with their feature maps and parameters.

python tools/models.py --image_size=32 --channels=3 --num_classes=10
"""

import cli
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 32, "pixels a side")
flags.DEFINE_integer("channels", 3, "1 for grey images")
flags.DEFINE_integer("num_classes", 10, "of the classifier")


def main():
    from indistill_tf import endpoints
    from indistill_tf import evaluation
    from indistill_tf import models

    shape = (FLAGS.image_size, FLAGS.image_size, FLAGS.channels)
    print(f"{'model':<24}{'parameters':>12}{'embedding':>11}  feature maps")
    for name in models.BUILDERS:
        model = models.build(name, shape, FLAGS.num_classes)
        width = endpoints.endpoint(model, "embedding").shape[-1]
        maps = ", ".join(
            f"{name} {'x'.join(map(str, tensor.shape[1:]))}"
            for name, tensor in endpoints.feature_maps(model).items()
        )
        count = evaluation.parameters(model)
        print(f"{name:<24}{count:>12,}{width:>11}  {maps}")


if __name__ == "__main__":
    cli.run(main, __doc__)
