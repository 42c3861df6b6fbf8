"""Measures parts of the library, each beside a plain way of doing the same.

python tools/benchmark.py --cases=jpeg --output=benchmark.json
"""

import cli
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_list("cases", None, "what to measure; else everything")
flags.DEFINE_integer("repeats", 5, "pairs of runs, ours and plain in turns", 1)
flags.DEFINE_string("data_dir", None, "prepared TFDS sets; else a tiny one")
flags.DEFINE_string("output", None, "a .json file to write the numbers to")


def main():
    from indistill_tf import benchmark
    from indistill_tf import errors
    from indistill_tf.training import work_directory

    names = FLAGS.cases or list(benchmark.CASES)
    for name in names:
        if name not in benchmark.CASES:
            raise errors.unknown_name("case", name, benchmark.CASES)
    results = {}
    columns = ("ours", "plain", "ratio", "work_ratio")
    print(_row("per second", *columns))
    for name in names:
        found = benchmark.CASES[name](FLAGS.data_dir, FLAGS.repeats)
        results[name] = found
        print(_row(name, *(_cell(found[column]) for column in columns)))
    if FLAGS.output:
        record = {"cases": results, **work_directory.environment()}
        work_directory.write_json(FLAGS.output, record)


def _cell(found):
    median, lowest, highest = (
        f"{found[key]:.3g}" for key in ("median", "lowest", "highest")
    )
    return f"{median} ({lowest} to {highest})"


def _row(first, *cells):
    return first.ljust(12) + "".join(cell.rjust(26) for cell in cells)


if __name__ == "__main__":
    cli.run(main, __doc__)
