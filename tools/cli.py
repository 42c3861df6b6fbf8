"""What the command-line tools share: flags, help, one-line errors."""

import contextlib
import functools
import inspect
import itertools
import logging
import os
import pathlib
import re
import sys
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping

from absl import flags

from indistill_tf_tools import environment
from indistill_tf_tools import fields
from indistill_tf_tools import flag_texts
from indistill_tf_tools import recipes
from indistill_tf_tools import terminal

# Flags defined by the functions below belong to the tool that calls them.
flags.disclaim_key_flags()
FLAGS = flags.FLAGS

DATASET_FLAGS = (
    *("dataset", "data_dir", "image_size", "resize", "augmentation"),
    *("classes", "train_split", "validation_split", "test_split"),
)


def define_dataset_flags():
    """Defines the flags that choose the images."""
    flags.DEFINE_string(
        "dataset", "embedded", "embedded, folder, or a TFDS name"
    )
    flags.DEFINE_string("data_dir", None, "where prepared TFDS sets lie")
    flags.DEFINE_integer("image_size", None, "pixels a side the network reads")
    flags.DEFINE_enum(
        "resize", None, ["bilinear", "pad", "crop"], "how images get that size"
    )
    flags.DEFINE_enum(
        "augmentation",
        None,
        ["crop", "random_resized_crop"],
        "in memory, or from files",
    )
    flags.DEFINE_integer("classes", None, "keep the first classes only")
    flags.DEFINE_string("train_split", "train", "may be a slice: train[:90%]")
    flags.DEFINE_string("validation_split", None, "as train[90%:]; else none")
    flags.DEFINE_string("test_split", None, "to report on; else the set's own")


def load_images():
    """Loads the images that the flags choose."""
    from indistill_tf import data

    return data.load(
        FLAGS.dataset,
        data_dir=FLAGS.data_dir,
        image_size=FLAGS.image_size,
        resize=FLAGS.resize,
        classes=FLAGS.classes,
        train_split=FLAGS.train_split,
        validation_split=FLAGS.validation_split,
        test_split=FLAGS.test_split,
        augmentation=FLAGS.augmentation,
    )


def load_images_of(work_dir, *more_flags):
    """Loads the images of a finished run; flags that are given now win.

    Args:
        work_dir: folder of the run, or of another network of its chain.
        *more_flags: names of flags that are taken over from the run too.

    Raises:
        UserError: if it holds none, or the images are no longer there.
    """
    take_over(work_dir, {*DATASET_FLAGS, *more_flags})
    return load_images()


def take_over(work_dir: str, names: Collection[str]) -> None:
    """Gives flags the values of a finished run's, but for those given now.

    Args:
        work_dir: folder of the run, or of another network of its chain.
        names: of flags of this tool.

    Raises:
        UserError: if it holds no run.
    """
    from indistill_tf.errors import UserError
    from indistill_tf.training import flag_record

    folder = pathlib.Path(work_dir)
    recorded = flag_record.read(folder) or flag_record.read(folder.parent)
    if not recorded:
        raise UserError(
            f"{work_dir} holds no finished run: flags.txt or result.json is "
            "missing. Name the folder of one."
        )
    lines = {flag_record.name_of(x): x for x in recorded.splitlines()}
    wanted = [name for name in names if FLAGS[name].using_default_value]
    FLAGS(["", *(lines[name] for name in wanted if name in lines)])


def define_training_flags():
    """Defines the flags of the recipe and of the run."""
    fields.define("training.recipe", "Recipe")
    own = ("seed", "data_service", "evaluate_every", "precision")
    own += ("checkpoint_steps", "on_nan", "deterministic")
    fields.define("training.run", "Run", only=own)
    define_strategy_flags()
    flags.DEFINE_string("work_dir", None, "the run's record goes here")
    flags.mark_flag_as_required("work_dir")


def recorded_run(train):
    """Runs a training in the work directory and leaves its record there.

    Args:
        train: function from a `Run` to a dict from role to result dict.

    Returns:
        Tuple of the results' table, as text, and the SavedModel's path.
    """
    from indistill_tf import training

    def job(folder):
        return train(fields.chosen(training.Run, folder=folder, images=images))

    with strategy():
        images = load_images()
        return training.recorded_run(
            FLAGS.work_dir, flags_text(), job, default_flags_text()
        )


def next_steps() -> str:
    """Returns what one does with a finished run: a command a line."""
    folder = FLAGS.work_dir
    images = flag_texts.changed(DATASET_FLAGS)
    return "\n".join(
        [
            "",
            f"Score it again: {flag_texts.command('evaluate')} "
            f"{' '.join([f'--model={folder}/model.keras', *images])}",
            f"Check its export: {flag_texts.command('export')} "
            f"--work_dir={folder} --check",
            f"Look at it: {flag_texts.command('report')} "
            f"--work_dirs={folder} --html={folder}/report.html",
            f"Compare runs: {flag_texts.command('report')} "
            f"--work_dirs={folder},ANOTHER",
        ]
    )


def options(flag: str, owner: str, known: Mapping[str, type]) -> dict:
    """Returns the options of a list flag of `name=value`.

    Args:
        flag: the flag's name.
        owner: string, whose options they are.
        known: dict from the name of an option to its type; empty for none.
    """
    from indistill_tf.errors import UserError
    from indistill_tf.errors import unknown_name

    found = {}
    for text in FLAGS[flag].value:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(
                f"--{flag} takes name=value, separated by commas. Received: "
                f"{text!r}"
            )
        if name not in known:
            raise unknown_name(f"option of {owner}", name, known)
        found[name] = _parsed(name, value, known[name])
    return found


def _parsed(name, text, kind):
    from indistill_tf.errors import UserError

    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        raise UserError(
            f"Option {name!r} is of type {kind.__name__}. Received: {text!r}"
        ) from None


def define_strategy_flags():
    """Defines the flags that `strategy` reads."""
    flags.DEFINE_enum(
        "strategy",
        "default",
        ["default", "mirrored", "multi_worker", "tpu"],
        "of tf.distribute",
    )
    flags.DEFINE_integer(
        "worker_timeout", 60, "seconds after which a silent worker is lost", 1
    )
    fields.RARE.add("worker_timeout")


@contextlib.contextmanager
def strategy():
    """Returns a context in which the chosen strategy is the current one."""
    from indistill_tf import distribution
    from indistill_tf.training import strategies

    with strategies.running(FLAGS.strategy, FLAGS.worker_timeout):
        if not distribution.is_chief():
            # What it would say, the chief says.
            logging.getLogger("indistill_tf").setLevel(logging.WARNING)
            sys.stdout = open(os.devnull, "w")
        yield


def flags_text() -> str:
    """Returns the tool's flags, one a line, as a flag file takes them."""
    return flag_texts.lines(flag_texts.of_tool())


def default_flags_text() -> str:
    """Returns those lines of `flags_text` that hold flags' default values."""
    return flag_texts.lines(
        flag for flag in flag_texts.of_tool() if flag.value == flag.default
    )


def run(main: Callable[..., None], description: str) -> None:
    """Parses the flags and calls the tool's main function.

    Wrong requests end in one line on stderr and exit status 1, Ctrl-C and
    SIGTERM in one line and their own status.

    Args:
        main: function without arguments, or of the list of those behind `--`.
        description: the tool's docstring, shown by `--help`.
    """
    # Before NumPy and TensorFlow are imported, which tools do in `main`.
    environment.prepare()
    with terminal.ending_in_a_line():
        _call(main, _parse(sys.argv, description))


def _parse(argv, description):
    if terminal.HELP & set(itertools.takewhile("--".__ne__, argv)):
        rare = () if terminal.FULL_HELP in argv else fields.RARE
        print(flag_texts.page(description, rare))
        sys.exit(0)
    own, behind = argv[1:], []
    if "--" in own:
        place = own.index("--")
        own, behind = own[:place], own[place + 1 :]
    try:
        arguments = FLAGS([argv[0], *recipes.expanded(own)])
        flag_texts.check_own()
    except OSError as error:
        terminal.fail(f"{error.filename}: {error.strerror}")
    # absl's own flags raise bare `ValueError`s.
    except (flags.Error, ValueError) as error:
        message = str(error).splitlines()[0]
        missing = re.match(r"flag --(\w+)=None: .* other than None", message)
        if missing:
            message = f"The flag --{missing[1]} is missing."
        terminal.fail(f"{message} (--help lists the flags)")
    return [*arguments, *behind]


def _call(main, argv):
    if inspect.signature(main).parameters:
        main = functools.partial(main, argv[1:])
    elif len(argv) > 1:
        terminal.fail(
            f"Unknown argument {argv[1]!r}; flags begin with -- (--help)."
        )
    terminal.log_to_stdout()
    with terminal.quiet():
        import tensorflow as tf
    from indistill_tf.errors import UserError
    from indistill_tf.errors import first_line

    try:
        _check_outputs()
        main()
    except UserError as error:
        terminal.fail(flag_texts.translated(" ".join(str(error).split())))
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        terminal.fail(f"{where}{error.strerror or first_line(error)}")
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        terminal.fail(
            f"There was no room ({first_line(error)}). What was saved before "
            "is whole. Make room, and repeat the command."
        )


def _check_outputs():
    """Refuses what must not be replaced, before there is something to write."""
    from indistill_tf.files import check_output

    for name in ("output", "html", "details", "work_dir"):
        if name in FLAGS and FLAGS[name].value:
            check_output(FLAGS[name].value)
