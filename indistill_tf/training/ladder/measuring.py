"""What a LiteRT file is worth and what it costs, measured on the file."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np

from indistill_tf import evaluation
from indistill_tf.data import ImageSet
from indistill_tf.data.images.image_split import ImageSplit
from indistill_tf.deploy import comparison
from indistill_tf.deploy import litert
from indistill_tf.deploy.deployable import EMBEDDING
from indistill_tf.deploy.deployable import PROBABILITIES
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError

BATCH = 64
THREADS = (1, 2)
_RANKS = (1, 10, 100)
_READ_BATCH = 256
_WARM_UP = 50

# Alone in a process: neither TensorFlow nor this package takes memory.
_MEMORY = """
import pathlib, sys
from ai_edge_litert.interpreter import Interpreter

def resident():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return 1024 * int(line.split()[1])

before = resident()
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
interpreter.invoke()
print(resident() - before)
"""


def scores(file: bytes, deployable: Deployable, images: ImageSet) -> dict:
    """Returns what a file's own answers score on the test images.

    Retrieval is by cosine, with the standard protocol, among the training
    images.

    Args:
        file: a LiteRT file's content.
        deployable: `Deployable` that it was made of.
        images: `indistill_tf.data.ImageSet`.

    Returns:
        Dict of `accuracy`, `map` and `p@k`, floats from 0 to 1.
    """
    runner = litert.Runner(file)
    test = _answers(runner, deployable, images.test)
    train = _answers(runner, deployable, images.train)
    found = evaluation.retrieval(
        test[EMBEDDING],
        images.test.labels,
        train[EMBEDDING],
        images.train.labels,
        ranks=[rank for rank in _RANKS if rank <= len(images.train)],
    )
    said = comparison.classes(test[PROBABILITIES])
    return {
        "accuracy": float(np.mean(said == images.test.labels)),
        "map": found.mean_average_precision,
        **{f"p@{rank}": value for rank, value in found.precision_at.items()},
    }


def resident_bytes(path: pathlib.Path) -> int | None:
    """Returns what a process holds more once it has run a file.

    Args:
        path: the LiteRT file.

    Returns:
        Int, or None on systems that do not say it.

    Raises:
        UserError: if the file cannot be run.
    """
    if not pathlib.Path("/proc/self/status").exists():
        return None
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(path)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{path} cannot be run ({reason}). Write it again.")
    return int(done.stdout)


def speeds(
    files: dict[str, bytes], batches: dict[str, bytes], repeats: int = 200
) -> dict:
    """Returns how fast files are, timed in turns, so that all meet one load.

    Args:
        files: dict from a name to a file of one image.
        batches: dict from a name to a file of `BATCH` images.
        repeats: int, timed calls of each. Defaults to 200.

    Returns:
        Dict with the machine's `load` before and after, and under `files` by
        name `threads_1` and `threads_2`, milliseconds of one image (`median`,
        `p95`, `minimum`), and `images_per_second` in batches on one thread.
    """
    load = [os.getloadavg()[0]]
    single = {
        threads: _in_turns(files, threads, repeats) for threads in THREADS
    }
    batch = _in_turns(batches, 1, max(repeats // 10, 1))
    load.append(os.getloadavg()[0])
    return {
        "load": load,
        "files": {
            name: {
                **{f"threads_{n}": single[n][name] for n in THREADS},
                "images_per_second": 1000 * BATCH / batch[name]["median"],
            }
            for name in files
        },
    }


def _in_turns(files, threads, repeats):
    runners = {
        name: litert.Runner(file, threads) for name, file in files.items()
    }
    seconds = {name: [] for name in files}
    for turn in range(_WARM_UP + repeats):
        for name, runner in runners.items():
            taken = runner.seconds()
            if turn >= _WARM_UP:
                seconds[name].append(taken)
    return {
        name: dataclasses.asdict(litert.summary(taken))
        for name, taken in seconds.items()
    }


def _answers(
    runner: litert.Runner, deployable: Deployable, split: ImageSplit
) -> dict[str, np.ndarray]:
    parts = [
        runner.predict(deployable.sized(images))
        for images, _ in split.evaluation(_READ_BATCH)
    ]
    return {
        name: np.concatenate([part[name] for part in parts])
        for name in (PROBABILITIES, EMBEDDING)
    }
