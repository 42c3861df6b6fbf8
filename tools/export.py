"""Exports a finished run's student, and checks each export in a new process.

python tools/export.py --work_dir=runs/quickstart --formats=saved_model,litert

Formats are saved_model, litert, litert_fp16, litert_dynamic, litert_int8,
litert_int4, onnx and keras. Beside the exports lie their checksums,
exports.json, and a model card, README.md. The extra `deploy` brings what LiteRT
and ONNX need.
"""

import pathlib

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("work_dir", None, "of a run of `distill` or `train`")
flags.DEFINE_list("formats", ["saved_model"], "what to write, see above")
flags.DEFINE_string(
    "output",
    None,
    "the SavedModel's place, the rest beside it; else WORK_DIR/saved_model",
)
flags.DEFINE_bool("check", True, "compare answers with the network's")
flags.DEFINE_integer(
    "check_images", 1000, "test images; 10 times as many are searched", 1
)
flags.mark_flag_as_required("work_dir")
cli.define_dataset_flags()


def main():
    from indistill_tf import training

    needs_images = FLAGS.check or "litert_int8" in FLAGS.formats
    exports = training.export_run(
        FLAGS.work_dir,
        FLAGS.output,
        FLAGS.formats,
        cli.load_images_of(FLAGS.work_dir) if needs_images else None,
        FLAGS.check_images if FLAGS.check else 0,
    )
    for name, export in exports.items():
        print(f"{name}: {export.path}, {_described(export.record)}")
    card = pathlib.Path(export.path).parent / "README.md"
    print(f"Model card: {card}")


def _described(record):
    size = f"{record['bytes']:,} bytes, {record['gzip_bytes']:,} gzipped"
    if "check" not in record:
        return size
    check, network = record["check"], record["check"]["network"]
    return (
        f"{size}; accuracy {_change(network, check, 'accuracy')}, mAP "
        f"{_change(network, check, 'map')}, agreement "
        f"{100 * check['agreement']:.2f} %, cosine {check['cosine']:.5f}, "
        f"largest difference to the model {check['difference']:.2g}"
    )


def _change(network, check, name):
    return f"{100 * network[name]:.2f} -> {100 * check[name]:.2f}"


if __name__ == "__main__":
    cli.run(main, __doc__)
