"""Prints one table of several runs, made from their records alone.

python tools/report.py --work_dirs=runs/a,runs/b --protocol=reference

With --seeds, methods over their seeds, in Markdown:

python tools/report.py --seeds '--work_dirs=runs/sweep/*' --reference=pkt
"""

import glob
import pathlib

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import recipes

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "work_dirs", None, "of runs of `distill` or `train`; * stands for any name"
)
flags.DEFINE_enum("metric", "cosine", ["cosine", "euclidean"], "of retrieval")
flags.DEFINE_enum(
    "protocol", "standard", ["standard", "reference"], "of retrieval"
)
flags.DEFINE_integer(
    "rank", None, "the k of precision at k; the largest by default"
)
flags.DEFINE_bool("seeds", False, "one row for all of NAME_seed0, NAME_seed1")
flags.DEFINE_string(
    "papers", None, "CSV: a method a line, a score a column; with --seeds"
)
flags.DEFINE_string(
    "reference", None, "the method to compare with; with --seeds"
)
flags.DEFINE_string("output", None, "write the table there too")
flags.mark_flag_as_required("work_dirs")


def main():
    from indistill_tf.training import work_directory

    results = {
        name: work_directory.read_json(pathlib.Path(name) / "result.json")
        for name in _work_dirs()
    }
    text = _text(results)
    print(text)
    if FLAGS.output:
        with work_directory.replacing(FLAGS.output) as temporary:
            temporary.write_text(f"{text}\n")


def _text(results):
    from indistill_tf.errors import UserError
    from indistill_tf.training import comparison
    from indistill_tf.training import report

    measured = FLAGS.metric, FLAGS.protocol, FLAGS.rank
    if FLAGS.seeds:
        papers = FLAGS.papers and comparison.read_papers(
            recipes.find(FLAGS.papers)
        )
        return comparison.comparison(
            results, *measured, papers, FLAGS.reference
        )
    for name in ("papers", "reference"):
        if FLAGS[name].value:
            raise UserError(f"--{name} compares methods: give --seeds too.")
    return report.table(results, *measured)


def _work_dirs():
    """Returns the folders; a pattern stands for those that are finished."""
    from indistill_tf.errors import UserError

    found = []
    for name in FLAGS.work_dirs:
        if not glob.has_magic(name):
            found.append(name)
            continue
        records = sorted(glob.glob(f"{name}/result.json"))
        if not records:
            raise UserError(
                f"--work_dirs={name} names no folder with a result.json."
            )
        found += [str(pathlib.Path(record).parent) for record in records]
    return found


if __name__ == "__main__":
    cli.run(main, __doc__)
