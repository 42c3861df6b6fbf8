"""A teacher and its student as files of LiteRT, one image at a time."""

import numpy as np

from indistill_tf import models
from indistill_tf.data import Preprocessing
from indistill_tf.deploy import litert
from indistill_tf.deploy.deployable import Deployable
from indistill_tf_tools.benchmarks.paired import summary

_SHAPE = (32, 32, 3)


def deployment(
    data_dir=None,
    repeats=5,
    calls=50,
    teacher="resnet18_preactivation",
    student="cnn_s",
):
    """Measures how much faster and smaller a student is than its teacher.

    The networks read 32 x 32 pixels in colour and know ten classes; their
    weights are random, which changes neither time nor size. LiteRT runs each
    on one thread, in turns, warm. The ratio is the teacher's time, in float32,
    over the row's own, of the same turn.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, turns. Defaults to 5.
        calls: int, the calls of a turn, of which the median counts. Defaults
            to 50.
        teacher: string, a network's name. Defaults to the ResNet-18 of the
            InDistill paper.
        student: string, a network's name. Defaults to its CNN-S.

    Returns:
        Dict from rows to `milliseconds` and `ratio`, each with the `median`,
        `lowest` and `highest` of the turns, and `bytes` of the file.
    """
    del data_dir
    files = {
        f"{name}, {kind}": _file(name, kind)
        for name, kind in (
            (teacher, "float32"),
            (student, "float32"),
            (student, "fp16"),
            (student, "int8"),
        )
    }
    runners = {row: litert.Runner(file) for row, file in files.items()}
    turns = [
        {row: runner.latency(calls).median for row, runner in runners.items()}
        for _ in range(repeats)
    ]
    first, *_ = files
    return {
        row: {
            "milliseconds": summary([turn[row] for turn in turns]),
            "ratio": summary([turn[first] / turn[row] for turn in turns]),
            "bytes": len(file),
        }
        for row, file in files.items()
    }


def _file(name, kind):
    preprocessing = Preprocessing(_SHAPE[:2], (0.5,) * 3, (0.25,) * 3)
    network = models.build(name, _SHAPE, 10)
    noise = np.random.default_rng(0).integers(0, 256, (10, *_SHAPE), "uint8")
    return litert.convert(Deployable(network, preprocessing), kind, noise)
