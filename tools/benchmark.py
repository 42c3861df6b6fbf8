"""Measures parts of the library, each beside a plain way of doing the same.

python tools/benchmark.py --cases=steps,fit --output=benchmark.json
"""

import pathlib

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_list("cases", None, "what to measure; else everything")
flags.DEFINE_integer("repeats", 5, "pairs of runs, ours and plain in turns", 1)
flags.DEFINE_string("data_dir", None, "prepared TFDS sets; else a tiny one")
flags.DEFINE_string("output", None, "a .json file for the numbers; plot beside")
flags.DEFINE_string("profile", None, "folder of a trace of steps; no cases")


def main():
    from indistill_tf import errors
    from indistill_tf.training import work_directory
    from indistill_tf_tools import benchmarks
    from indistill_tf_tools.benchmarks import tables

    if FLAGS.profile:
        print(tables.operations(benchmarks.profile(FLAGS.profile)[:10]))
        print(f"\nTrace, for TensorBoard: {FLAGS.profile}")
        return
    names = FLAGS.cases or list(benchmarks.CASES)
    for name in names:
        if name not in benchmarks.CASES:
            raise errors.unknown_name("case", name, benchmarks.CASES)
    results = {}
    for name in names:
        results[name] = benchmarks.CASES[name](FLAGS.data_dir, FLAGS.repeats)
        print(f"{tables.table(name, results[name])}\n", flush=True)
        if FLAGS.output:
            # After each case, so that a later one's failure costs no earlier.
            record = {"cases": results, **work_directory.environment()}
            work_directory.write_json(FLAGS.output, record)
            plot = pathlib.Path(FLAGS.output).with_suffix(".png")
            tables.plot_ratios(results, plot)


if __name__ == "__main__":
    cli.run(main, __doc__)
