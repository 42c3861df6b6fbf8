"""Distils a pair of an image and a text tower from a larger pair (CIFD).

python tools/distill_clip.py --flagfile=flags/clip_quick.flags
"""

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import fields

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "teacher_image", None, "a network's name, or a .keras tower"
)
flags.DEFINE_string(
    "teacher_text", None, "a text tower's name, or a .keras tower"
)
flags.DEFINE_string(
    "teacher_weights", None, "of both towers, such as a file of open_clip"
)
flags.DEFINE_integer(
    "teacher_epochs", None, "of the teacher; --epochs by default", 1
)
flags.DEFINE_integer(
    "embedding_size", None, "of both towers; their own by default", 1
)
flags.DEFINE_string("student_image", None, "a network's name")
flags.DEFINE_string("student_text", None, "a text tower's name")
fields.define("training.clip.chain", "PairChain")
flags.DEFINE_integer(
    "modules", 0, "how many there are, of the first --trade_offs", 0
)
flags.DEFINE_list("trade_offs", "1000,300,100,30,10", "R of each module")
fields.define("training.clip.distillation", "PairDistillation")
flags.DEFINE_string(
    "dataset", "generated", "else a folder, shards, a TFDS name"
)
flags.DEFINE_string("data_dir", None, "the folder of the data set")
flags.DEFINE_integer("image_size", None, "pixels a side", 1)
flags.DEFINE_enum(
    "resize", None, ["bilinear", "pad", "crop"], "how images get that size"
)
flags.DEFINE_string("train_split", "train", "may be a slice: train[:90%]")
flags.DEFINE_string("test_split", "test", "to report on")
flags.DEFINE_string(
    "tokenizer", None, "a tokenizer.json; made of captions by default"
)
flags.DEFINE_integer(
    "vocabulary", 1000, "tokens of a tokenizer that is made", 258
)
flags.DEFINE_integer("context_length", 77, "tokens a text", 3)
flags.DEFINE_list("templates", None, "of zero-shot classes, as a photo of a {}")
fields.define("training.clip.recipe", "PairRecipe")
flags.DEFINE_integer(
    "seed", 0, "of weights, noise and data order", 0, 2**32 - 1
)
cli.define_strategy_flags()
flags.DEFINE_string("work_dir", None, "the run's record goes here")
flags.mark_flags_as_required(
    ["teacher_image", "teacher_text", "student_image", "student_text"]
)
flags.mark_flag_as_required("work_dir")


def main():
    from indistill_tf import training
    from indistill_tf.training import report

    chain = fields.chosen(
        training.PairChain,
        teacher=training.Towers(
            FLAGS.teacher_image,
            FLAGS.teacher_text,
            FLAGS.teacher_weights,
            FLAGS.teacher_epochs,
            FLAGS.embedding_size,
        ),
        student=training.Towers(FLAGS.student_image, FLAGS.student_text),
        recipe=fields.chosen(training.PairRecipe),
        distillation=fields.chosen(
            training.PairDistillation, trade_offs=_trade_offs()
        ),
    )
    texts = cli.flags_text(), cli.default_flags_text()
    with (
        cli.strategy(),
        training.opened(FLAGS.work_dir, *texts) as folder,
    ):
        results = training.run_pairs(folder, _task(folder), chain, FLAGS.seed)
    print(f"\n{report.pair_table(results)}\n\nStudent: {folder}")


def _trade_offs():
    from indistill_tf.errors import UserError

    trade_offs = fields.numbers("trade_offs")
    if FLAGS.modules > len(trade_offs):
        raise UserError(
            f"{FLAGS.modules} modules need as many --trade_offs. Received: "
            f"{len(trade_offs)}"
        )
    return trade_offs[: FLAGS.modules]


def _task(folder):
    from indistill_tf import data
    from indistill_tf import distribution
    from indistill_tf import training

    captions = data.load_captions(
        FLAGS.dataset,
        FLAGS.data_dir,
        image_size=FLAGS.image_size,
        resize=FLAGS.resize,
        train_split=FLAGS.train_split,
        test_split=FLAGS.test_split,
    )
    if FLAGS.tokenizer:
        tokenizer = data.Tokenizer.from_file(FLAGS.tokenizer)
    else:
        tokenizer = data.Tokenizer.from_captions(
            captions.train.captions, FLAGS.vocabulary
        )
    distribution.on_chief(lambda: tokenizer.save(folder / "tokenizer.json"))
    more = {"templates": tuple(FLAGS.templates)} if FLAGS.templates else {}
    return training.PairTask(captions, tokenizer, FLAGS.context_length, **more)


if __name__ == "__main__":
    cli.run(main, __doc__)
