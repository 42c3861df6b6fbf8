"""Writes a small stand-in for a TFDS set, to try a pipeline out offline.

python tools/make_tiny.py --dataset=imagenet2012 --data_dir=DIR

It is loaded as the official set is (--dataset=imagenet2012 --data_dir=DIR),
but holds pictures of Fashion-MNIST: what is measured on it means nothing.
"""

from absl import flags

from indistill_tf_tools import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", None, "a TFDS name, such as imagenet2012")
flags.DEFINE_string("data_dir", None, "where prepared sets lie")
flags.DEFINE_integer("train", 128, "images to train on", 1)
flags.DEFINE_integer("test", 64, "images of each other split", 1)
flags.DEFINE_integer("shards", 2, "files of each split", 1)
flags.DEFINE_enum(
    "file_format", "tfrecord", ["tfrecord", "array_record"], "of the shards"
)
flags.mark_flags_as_required(["dataset", "data_dir"])


def main():
    from indistill_tf_tools import stand_ins

    stand_ins.write_tiny(
        FLAGS.dataset,
        FLAGS.data_dir,
        train=FLAGS.train,
        test=FLAGS.test,
        file_format=FLAGS.file_format,
        shards=FLAGS.shards,
    )


if __name__ == "__main__":
    cli.run(main, __doc__)
