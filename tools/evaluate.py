"""Scores a trained network: accuracy, retrieval, cost.

python tools/evaluate.py --model=runs/quickstart/model.keras
"""

import json

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import fields

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "model", None, "a .keras file, or a network's name with --weights"
)
flags.DEFINE_string(
    "weights", None, "a .keras, .weights.h5, .npz or .safetensors file"
)
flags.DEFINE_enum(
    "pixels",
    "normalized",
    ["normalized", "raw", "unit"],
    "what --model reads: raw is 0..255, unit 0..1",
)
flags.DEFINE_string("teacher", None, "a .keras file to compare with")
flags.DEFINE_enum(
    "head",
    None,
    ["softmax", "sigmoid", "logits"],
    "what it ends in, if it does not say so",
)
flags.DEFINE_string("outputs", None, "which of several outputs counts")
fields.define(
    "training.networks", "Network", only=("head", "outputs", "pixels")
)
flags.DEFINE_list("ranks", "1,10,100", "the k of precision at k")
flags.DEFINE_integer(
    "query_batch", 128, "queries a batch of the reference protocol", 1
)
flags.DEFINE_string("output", None, "a .json file to write the scores to")
flags.DEFINE_string("details", None, "an .npz file for the page of `report`")
flags.DEFINE_float(
    "pruning_rate", None, "say what the channels left tell of each map", 0.0
)
flags.mark_flag_as_required("model")
cli.define_dataset_flags()


def main():
    from indistill_tf import evaluation
    from indistill_tf import training
    from indistill_tf.training import report
    from indistill_tf.training import work_directory

    images = cli.load_images()
    model = training.Network(
        FLAGS.model,
        FLAGS.weights,
        head=FLAGS.head,
        outputs=FLAGS.outputs,
        pixels=FLAGS.pixels,
    ).read(images, "model")
    teacher = None
    if FLAGS.teacher:
        teacher = fields.chosen(training.Network, name=FLAGS.teacher)
        teacher = teacher.read(images)
    scores = evaluation.score(
        model,
        images,
        teacher,
        ranks=fields.numbers("ranks", int),
        query_batch=FLAGS.query_batch,
        details_path=FLAGS.details,
    )
    result = {
        "model": model.name,
        "scores": scores,
        "images": images.describe(),
    }
    if FLAGS.pruning_rate is not None:
        result["unexplained"] = _unexplained(model, images)
    if FLAGS.output:
        record = {**result, **work_directory.environment()}
        work_directory.write_json(FLAGS.output, record)
    for metric, protocols in scores["retrieval"].items():
        for protocol in protocols:
            print(report.table({"model": result}, metric, protocol), "\n")
    comparison = {
        name: scores[name]
        for name in ("agreement", "information_flow")
        if name in scores
    }
    if comparison:
        print("Against the teacher:", json.dumps(comparison))


def _unexplained(model, images):
    """Returns what pruned maps lack, by ranking; prints it as a table."""
    from indistill_tf import tables
    from indistill_tf.evaluation import kept_channels

    found = kept_channels.unexplained(model, images, FLAGS.pruning_rate)
    titles = ["variance left unexplained", *next(iter(found.values()), ())]
    rows = [
        [name, *(f"{value:.3f}" for value in parts.values())]
        for name, parts in found.items()
    ]
    print(f"{tables.aligned([titles, *rows])}\n")
    return found


if __name__ == "__main__":
    cli.run(main, __doc__)
