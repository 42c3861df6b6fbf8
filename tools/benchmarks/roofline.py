"""How near each stage's step comes to what the machine can do."""

import collections
import functools
import itertools
import math
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops as graph_ops

from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks import trace

# Part of the name of an operation's type, also of what oneDNN makes of it.
_KINDS = {
    "Conv2D": "convolutions",
    "BatchNorm": "normalisation",
    "Pool": "pooling",
}

# They move no data: views, constants, and what the runtime does anyway.
_FREE = {
    "Const",
    "Identity",
    "NoOp",
    "Placeholder",
    "PreventGradient",
    "ReadVariableOp",
    "Reshape",
    "Shape",
    "StopGradient",
}


def roofline(data_dir=None, repeats=5, count=20):
    """Measures steps against the rates of a matrix product and of a copy.

    Each operation of a step takes at least its floating-point operations at
    the rate of a product of two 2048 x 2048 matrices, and its arguments and
    results at that of copying 256 MiB, whichever takes longer. Their sum is
    the limit of the step as it is written, nothing fused. Where the rest of
    the time goes says a trace of the same steps, by kinds of operations.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, runs, of which the median counts. Defaults to 5.
        count: int, the steps of a run. Defaults to 20.

    Returns:
        Dict from rows to dicts: of the machine `gflop_s` and `gbyte_s`; of
        each stage `gflop`, `mbyte` and `ms` of a step, `limit_ms` and
        `fraction`, the limit over the measured time; and of each kind of
        operations a list of its ms and its limit in ms. Their sum may exceed
        the step: operations run side by side.
    """
    del data_dir
    flop_rate, byte_rate = _matmul_rate(repeats), _copy_rate(repeats)
    rows = {"machine": {"gflop_s": flop_rate / 1e9, "gbyte_s": byte_rate / 1e9}}
    distiller, data = networks.make_distiller(), networks.batches()
    firsts = itertools.accumulate([0, *networks.stage_epochs(distiller)[:-1]])
    for number, first in enumerate(firsts, start=1):
        run = networks.step_function(distiller, data, first)
        run(count)
        seconds = _median_seconds(functools.partial(run, count), repeats)
        seconds /= count
        work = list(_work(distiller))
        limits, measured = collections.Counter(), _milliseconds(run, count)
        for kind, flops, size in work:
            limits[kind] += 1e3 * max(flops / flop_rate, size / byte_rate)
        limit = sum(limits.values())
        rows[f"stage {number}"] = {
            "gflop": sum(flops for _, flops, _ in work) / 1e9,
            "mbyte": sum(size for _, _, size in work) / 1e6,
            "ms": 1e3 * seconds,
            "limit_ms": limit,
            "fraction": limit / (1e3 * seconds),
            **{
                kind: [measured[kind], limits[kind]]
                for kind in [*_KINDS.values(), "other"]
            },
        }
    return rows


def _milliseconds(run, count):
    """Returns how long the operations of each kind take in a step."""
    found = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, milliseconds in trace.record(run, count, folder):
            found[_kind(name.rpartition(":")[2])] += milliseconds
    return found


def _kind(operation_type):
    for part, kind in _KINDS.items():
        if part in operation_type:
            return kind
    return "other"


def _work(distiller):
    """Yields kind, floating-point operations and bytes of each operation."""
    images = tf.TensorSpec((networks.BATCH, *networks.SHAPE), tf.float32)
    labels = tf.TensorSpec((networks.BATCH,), tf.int64)
    step = tf.function(lambda x, y: distiller.train_step((x, y)))
    graph = step.get_concrete_function(images, labels).graph
    for operation in graph.get_operations():
        if operation.type in _FREE:
            continue
        size = sum(
            tensor.shape.num_elements() * tensor.dtype.size
            for tensor in (*operation.inputs, *operation.outputs)
            if tensor.shape.is_fully_defined()
        )
        yield _kind(operation.type), _flops(graph, operation), size


def _flops(graph, operation):
    try:
        found = graph_ops.get_stats_for_node_def(
            graph, operation.node_def, "flops"
        ).value
    except (ValueError, KeyError):
        # No rule has this kind, or a shape is only known when it runs.
        return 0
    return found if found and math.isfinite(found) else 0


def _matmul_rate(repeats, size=2048):
    matrix = tf.random.normal((size, size))
    product = tf.function(lambda: tf.linalg.matmul(matrix, matrix)[0, 0])
    return 2 * size**3 / _median_seconds(lambda: float(product()), repeats)


def _copy_rate(repeats, size=2**28):
    source = np.ones(size, "uint8")
    target = np.empty_like(source)
    # Read once and written once.
    seconds = _median_seconds(lambda: np.copyto(target, source), repeats)
    return 2 * size / seconds


def _median_seconds(function, repeats):
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
