"""Random command lines of flags and bad values, each in a process of its own.

python -m tests.tools.fuzz --count=300 --seed=1

It says how many were accepted up to the first step, refused in one line, and
anything else, which is a defect. Numbers and names are drawn from the seed.
"""

import argparse
import collections
import importlib
import os
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator

from indistill_tf_tools import environment

TOOLS = {
    "distill": ("--teacher=cnn_a", "--student=cnn_s", "--work_dir=run"),
    "train": ("--model=cnn_s", "--work_dir=run"),
    "evaluate": ("--model={}/model.keras",),
    "train_rdm": ("--teacher={}/model.keras", "--work_dir=run"),
    "report": ("--work_dirs={}/finished",),
    "export": ("--work_dir={}/finished",),
    "sweep": ("--runs={}/one.sweep", "--work_dir=sweep", "--dry_run"),
    "distill_clip": (
        "--teacher_image=cnn_a",
        "--teacher_text=text_tiny",
        "--student_image=cnn_s",
        "--student_text=text_tiny",
        "--work_dir=run",
    ),
    "models": (),
    "methods": (),
}
SMALL = ("--train_split=train[:64]", "--test_split=test[:64]")
WITH_IMAGES = ("distill", "train", "evaluate", "train_rdm")
VALUES = (
    *("", " ", "0", "-1", "1", "2", "0.5", "1e400", "nan", "inf", "-inf"),
    *("4294967295", "4294967296", "99999999999999999999999", "0.99999"),
    *("1000000", "100000", "~", "~nobody/x", "/", ".", "a.b", "x,y", ",", "="),
    *("/dev/null", "/dev/full", "{}/socket", "{}/text", "{}/bytes", "{}/none"),
    *("mnist:9.9.9", "mnist/x", "huggingface:", "folder", "cifar10"),
    *("train[:0]", "train[5:2]", "train[", "train[:999999999999999999999]"),
    *("a=b", "a=1,b=", "modules={}/bytes", "temperature=-1", "None", "true"),
    *("{}/bytes.keras", "{}/bytes.npz", "{}/bytes.weights.h5", "imagenet"),
    *("\u00e9", "\udcff", "a" * 5000, "%s", "{{x}}", "auto", "tap_1:tap_1"),
)
FOREIGN = (
    *("--pdb_post_mortem", "--run_with_pdb", "--only_check_args", "--helpxml"),
    *("--profile_file={}/x", "--verbosity=9", "--stderrthreshold=x", "--v=x"),
    *("--flagfile=/dev/full", "--flagfile={}/bytes", "--flagfile={}"),
    *(
        "--flagfile=",
        "--flagfile={}/none",
        "--undefok=x",
        "-x",
        "--",
        "x",
        "--=",
    ),
)
SECONDS, BYTES = 120, 2**34


def prepare(folder: pathlib.Path) -> None:
    """Writes the files that command lines name.

    Args:
        folder: where they go.
    """
    import socket

    from indistill_tf import models

    models.build("cnn_s", (32, 32, 1), 10).save(folder / "model.keras")
    (folder / "text").write_text("--epochs=1\n")
    (folder / "one.sweep").write_text("one: train --model=cnn_s\n")
    (folder / "finished").mkdir()
    for name in ("bytes", "bytes.keras", "bytes.npz", "bytes.weights.h5"):
        (folder / name).write_bytes(random.Random(0).randbytes(999))
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(folder / "socket"))


def outcomes(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Runs random command lines.

    Args:
        count: int, how many.
        seed: int.

    Yields:
        What came of one, and its text: `"refused"` in one line, `"accepted"`
        up to the first step, or what is a defect.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # Not here: what TensorFlow has begun, forks cannot go on with.
        if os.fork() == 0:
            prepare(folder)
            os._exit(0)
        os.wait()
        for number in range(count):
            yield _outcome(folder, f"{seed}/{number}")


def _outcome(folder, seed):
    output, errors = folder / "output", folder / "errors"
    process = os.fork()
    if process == 0:
        _run_child(folder, seed, output, errors)
    status, end = None, time.monotonic() + SECONDS
    while status is None:
        pid, ended = os.waitpid(process, os.WNOHANG)
        if pid:
            status = os.waitstatus_to_exitcode(ended)
        elif time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            status = "too slow"
        else:
            time.sleep(0.02)
    said = errors.read_text(errors="replace")
    command = (folder / "command").read_text(errors="replace")
    return _judged(status, said), f"{seed} {command}: {said[-2000:]}"


def _judged(status, said):
    if status == 0 and "Traceback" not in said:
        return "accepted"
    if status == 1 and said.startswith("error: ") and said.count("\n") == 1:
        return "refused"
    return "traceback" if "Traceback" in said else f"status {status}"


def _run_child(folder, seed, output, errors):
    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    status = 70
    try:
        _run_tool(folder, random.Random(seed))
        status = 0
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run_tool(folder, draw):
    from indistill_tf_tools import cli
    from indistill_tf_tools import flag_texts

    _end_where_training_begins()
    name = draw.choice([*["distill"] * 6, *["train"] * 2, *TOOLS])
    tool = importlib.import_module(f"indistill_tf_tools.{name}")
    sys.argv = [tool.__name__]
    arguments = [*TOOLS[name], *(SMALL if name in WITH_IMAGES else ())]
    for _ in range(draw.choice([1, 1, 2, 3])):
        flag = draw.choice(flag_texts.of_tool()).name
        arguments.append(f"--{flag}={draw.choice(VALUES)}")
    if draw.random() < 0.2:
        arguments.append(draw.choice(FOREIGN))
    sys.argv += [text.format(folder) for text in arguments]
    text = " ".join([name, *sys.argv[1:]])
    (folder / "command").write_text(text, errors="surrogateescape")
    # Relative paths lead to nothing of value.
    os.chdir(tempfile.mkdtemp(dir=folder))
    cli.run(tool.main, tool.__doc__)


def _end_where_training_begins():
    from indistill_tf.training import hop
    from indistill_tf.training import modules
    from indistill_tf.training.clip import modules as clip_modules
    from indistill_tf.training.clip import pair

    def end(*args, **kwargs):
        sys.exit(0)

    hop.fit_on = pair.fit_on = end
    modules._train = clip_modules._train = end


if __name__ == "__main__":
    environment.prepare()
    importlib.import_module("indistill_tf")
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = collections.Counter()
    for kind, text in outcomes(options.count, options.seed):
        counts[kind] += 1
        if kind not in ("accepted", "refused"):
            print(f"{kind}: {text}", flush=True)
    print(dict(counts))
