"""Distils a pair of an image and a text tower from a larger pair (CIFD).

python tools/distill_clip.py --flagfile=flags/clip_quick.flags
"""

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import fields

FLAGS = flags.FLAGS
flags.DEFINE_string("teacher_image", None, "a model's name, or a .keras tower")
flags.DEFINE_string("teacher_text", None, "a text tower's name, or .keras")
flags.DEFINE_string("teacher_weights", None, "of both, such as open_clip's")
flags.DEFINE_integer("teacher_epochs", None, "else --epochs", 1)
flags.DEFINE_integer("embedding_size", None, "of both, else the towers'", 1)
flags.DEFINE_string("student_image", None, "a model's name")
flags.DEFINE_string("student_text", None, "a text tower's name")
fields.define("training.clip.chain", "PairChain")
flags.DEFINE_integer("modules", 0, "first so many of --trade_offs", 0)
flags.DEFINE_list("trade_offs", "1000,300,100,30,10", "R of each module")
fields.define("training.clip.distillation", "PairDistillation")
flags.DEFINE_string("dataset", "generated", "folder, shards or a TFDS name")
flags.DEFINE_string("data_dir", None, "the folder of the data set")
flags.DEFINE_integer("image_size", None, "pixels a side", 1)
flags.DEFINE_enum(
    "resize", None, ["bilinear", "pad", "crop"], "how images get that size"
)
flags.DEFINE_string("train_split", "train", "may be a slice: train[:90%]")
flags.DEFINE_string("test_split", "test", "to report on")
flags.DEFINE_string("tokenizer", None, "tokenizer.json; else made of captions")
flags.DEFINE_integer("vocabulary", 1000, "tokens of one that is made", 258)
flags.DEFINE_integer("context_length", 77, "tokens a text", 3)
flags.DEFINE_list("templates", None, "of zero-shot classes: a photo of a {}")
fields.define("training.clip.recipe", "PairRecipe")
flags.DEFINE_integer("seed", 0, "of weights, noise and data order", 0)
cli.define_strategy_flag()
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
    with training.opened(FLAGS.work_dir, cli.flags_text()) as folder:
        task = _task(folder)
        with cli.strategy_scope():
            results = training.run_pairs(folder, task, chain, FLAGS.seed)
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
    tokenizer.save(folder / "tokenizer.json")
    more = {"templates": tuple(FLAGS.templates)} if FLAGS.templates else {}
    return training.PairTask(captions, tokenizer, FLAGS.context_length, **more)


if __name__ == "__main__":
    cli.run(main, __doc__)
