"""How seconds grow with the size of the problem."""

import statistics
import time

import numpy as np

from indistill_tf import evaluation
from indistill_tf_tools.benchmarks import networks


def growth(data_dir=None, repeats=5):
    """Measures how time grows with batch, depth, taps and database.

    Steps are of the last stage but for the taps, where each network has 2, 3,
    5 or 7 of them and all steps of a warm-up of one epoch each are added up.
    The teacher's depth goes from ResNet-8 to ResNet-56 behind a CNN-S, which
    compares logits. Retrieval ranks a growing database for 500 queries of 64
    features. The exponent is the slope of a line through the logarithms.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, the runs of each size, of which the median counts.
            Defaults to 5.

    Returns:
        Dict from what grows to a dict of `sizes`, `seconds` and `exponent`.
    """
    del data_dir
    return {
        "batch": _measure(_batch_step, (32, 64, 128, 256, 512), repeats),
        "teacher depth": _measure(_depth_step, (8, 14, 20, 32, 56), repeats),
        "taps": _measure(_warm_up, (2, 3, 5, 7), repeats),
        "database": _measure(
            _retrieval, (10_000, 20_000, 40_000, 80_000), repeats
        ),
    }


def exponent(sizes, seconds):
    """Returns p of the power law size ** p nearest to measurements.

    Args:
        sizes: positive numbers.
        seconds: positive numbers, one for each size.
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _measure(make, sizes, repeats):
    seconds = []
    for size in sizes:
        run = make(size)
        run()
        seconds.append(statistics.median(_time(run) for _ in range(repeats)))
    return {
        "exponent": exponent(sizes, seconds),
        "sizes": list(sizes),
        "seconds": seconds,
    }


def _time(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _batch_step(size):
    run = networks.step_function(
        networks.make_distiller(), networks.batches(size), first_epoch=12
    )
    return lambda: run(4)


def _depth_step(depth):
    distiller = networks.make_distiller(
        f"resnet{depth}", method="okd", task=None
    )
    run = networks.step_function(distiller, networks.batches())
    return lambda: run(4)


def _warm_up(taps):
    ending = "" if taps == 3 else f"_{taps}"
    distiller = networks.make_distiller(f"cnn_a{ending}", f"cnn_s{ending}")
    firsts = np.cumsum([0, *networks.stage_epochs(distiller)])[:taps]
    data = networks.batches()
    stages = [
        networks.step_function(distiller, data, int(first)) for first in firsts
    ]

    def run():
        for stage in stages:
            stage(4)

    return run


def _retrieval(items):
    rng = np.random.default_rng(0)
    queries, database = (
        rng.normal(size=(count, 64)).astype("float32") for count in (500, items)
    )
    labels = np.arange(items) % networks.CLASSES
    return lambda: evaluation.retrieval(queries, labels[:500], database, labels)
