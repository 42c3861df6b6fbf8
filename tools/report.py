"""Prints one table of several runs, made from their records alone.

python tools/report.py --work_dirs=runs/a,runs/b --protocol=reference
"""

import pathlib

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_list("work_dirs", None, "of runs of `distill` or `train`")
flags.DEFINE_enum("metric", "cosine", ["cosine", "euclidean"], "of retrieval")
flags.DEFINE_enum(
    "protocol", "standard", ["standard", "reference"], "of retrieval"
)
flags.DEFINE_integer(
    "rank", None, "the k of precision at k; the largest by default"
)
flags.DEFINE_bool("seeds", False, "one row for all of NAME_seed0, NAME_seed1")
flags.mark_flag_as_required("work_dirs")


def main():
    from indistill_tf.training import report
    from indistill_tf.training import work_directory

    results = {
        name: work_directory.read_json(pathlib.Path(name) / "result.json")
        for name in FLAGS.work_dirs
    }
    table = report.seeds_table if FLAGS.seeds else report.table
    print(table(results, FLAGS.metric, FLAGS.protocol, FLAGS.rank))


if __name__ == "__main__":
    cli.run(main, __doc__)
