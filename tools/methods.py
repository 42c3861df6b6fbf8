"""Prints the table of methods: what a method is, as a row.

python tools/methods.py --output=docs/methods.md
"""

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "file for the page; else it is printed")


def main():
    from indistill_tf.files import replacing
    from indistill_tf_tools import method_table

    page = method_table.page()
    if FLAGS.output:
        with replacing(FLAGS.output) as temporary:
            temporary.write_text(page)
    else:
        print(page, end="")


if __name__ == "__main__":
    cli.run(main, __doc__)
