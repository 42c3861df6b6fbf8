"""Distils a pair of an image and a text tower from a larger pair (CIFD).

python tools/distill_clip.py --flagfile=flags/clip_quick.flags
"""

from absl import flags

from indistill_tf_tools import cli

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
flags.DEFINE_bool("student_alone", False, "train it contrastively too")
flags.DEFINE_integer(
    "modules", 0, "how many there are, of the first --trade_offs", 0
)
flags.DEFINE_list("trade_offs", "1000,300,100,30,10", "R of each module")
flags.DEFINE_integer("module_epochs", 7, "of the modules' training", 1)
flags.DEFINE_float("contrastive_weight", 0.005, "of the contrastive loss", 0.0)
flags.DEFINE_float("dropout", 0.25, "how often a source is cut", 0.0)
flags.DEFINE_enum(
    "reduction", "mean", ["mean", "sum"], "of distances over dimensions"
)
flags.DEFINE_float(
    "information_bottleneck", 0.0, "weight of the rate of noise", 0.0
)
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
flags.DEFINE_integer("epochs", 32, "of the students")
flags.DEFINE_float("learning_rate", 1e-3, "after the warm-up")
flags.DEFINE_float("warm_up", 1 / 6, "its part of all steps")
flags.DEFINE_integer("batch_size", 1024, "pairs a step")
flags.DEFINE_float("weight_decay", 0.2, "of AdamW")
flags.DEFINE_integer("padding", 0, "pixels of the random crop", 0)
flags.DEFINE_bool("flip", False, "mirror images at random")
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

    trade_offs = _trade_offs()
    recipe = training.PairRecipe(
        **_chosen("epochs", "learning_rate", "warm_up", "batch_size"),
        **_chosen("weight_decay", "padding", "flip"),
    )
    texts = cli.flags_text(), cli.default_flags_text()
    with training.opened(FLAGS.work_dir, *texts) as folder:
        task = _task(folder)
        with cli.strategy_scope():
            results = training.run_pairs(
                folder,
                task,
                recipe,
                teacher=(FLAGS.teacher_image, FLAGS.teacher_text),
                student=(FLAGS.student_image, FLAGS.student_text),
                trade_offs=trade_offs,
                **_chosen("teacher_weights", "teacher_epochs"),
                **_chosen("embedding_size", "module_epochs"),
                **_chosen("contrastive_weight", "dropout", "reduction"),
                **_chosen("information_bottleneck", "student_alone", "seed"),
            )
    print(f"\n{report.pair_table(results)}\n\nStudent: {folder}")


def _chosen(*names):
    return {name: FLAGS[name].value for name in names}


def _trade_offs():
    from indistill_tf.errors import UserError

    found = cli.numbers("trade_offs")
    if FLAGS.modules > len(found):
        raise UserError(
            f"{FLAGS.modules} modules need as many --trade_offs. Received: "
            f"{len(found)}"
        )
    return found[: FLAGS.modules]


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
