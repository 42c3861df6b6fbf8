"""Retrieval against the engines that else do it, and where it ends."""

import importlib
import time

import numpy as np

from indistill_tf import evaluation
from indistill_tf import unit_length
from indistill_tf_tools.benchmarks.paired import paired
from indistill_tf_tools.benchmarks.retrieval import average_precisions
from indistill_tf_tools.benchmarks.retrieval import features
from indistill_tf_tools.benchmarks.retrieval import peak_mbyte

_BATCH = 128


def engines(data_dir=None, repeats=5, queries=256, items=50_000):
    """Measures the mean average precision against other engines' ways to it.

    `faiss` ranks unit vectors with `IndexFlatIP`, the whole database for each
    query, and NumPy takes the average precision of the relevance.
    `pytorch-metric-learning` is its `AccuracyCalculator` with all items as
    neighbours, on unit vectors.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        queries: int. Defaults to 256: the others rank 20 a second.
        items: int, size of the database. Defaults to 50,000.

    Returns:
        Dict from engines to what `paired` returns, of queries a second, and
        `map_difference` in points (percent); or to what to install.
    """
    del data_dir
    arguments = features(queries, items)
    ways = {"faiss": _faiss, "pytorch_metric_learning": _metric_learning}
    return {
        name: _row_or_hint(name, way, arguments, repeats)
        for name, way in ways.items()
    }


def million(data_dir=None, repeats=1, queries=1000, items=1_000_000):
    """Measures a database of a million items of 128 features, 1,000 classes.

    Beside the exact search stands an approximate one, `IndexIVFFlat` of faiss,
    which looks at 64 of 1024 cells. It finds neighbours, not ranks of all
    relevant items: the precision at 100, not the mean average precision.

    Args:
        data_dir: ignored; all cases take it.
        repeats: ignored: one run takes long enough to be measured once.
        queries: int. Defaults to 1,000.
        items: int, size of the database. Defaults to 1,000,000.

    Returns:
        Dict of two rows, `exact` and `faiss IVF`: `seconds` for all queries,
        `p@100`, and of the first `peak_mbyte`, of the second `build_seconds`
        and `recall@100`, the part of the nearest 100 that it finds; or what to
        install.
    """
    del data_dir, repeats
    arguments = features(queries, items, width=128, classes=1000)
    found = {}

    def exact():
        start = time.perf_counter()
        scores = evaluation.retrieval(*arguments, ranks=(100,))
        found["seconds"] = time.perf_counter() - start
        found["p@100"] = scores.precision_at[100]

    peak = peak_mbyte(exact)
    return {
        "exact": {**found, "peak_mbyte": peak},
        "faiss IVF": _row_or_hint("faiss", _cells, arguments),
    }


def _row_or_hint(package, measure, *arguments):
    try:
        importlib.import_module(package)
    except ImportError:
        hint = f"{package} is missing: pip install 'indistill_tf[benchmark]'"
        return {"skipped": hint}
    return measure(*arguments)


def _faiss(arguments, repeats):
    import faiss

    queries, query_labels, database, labels = arguments
    index = faiss.IndexFlatIP(database.shape[1])
    index.add(unit_length.of_array(database))

    def mean_average_precision():
        total = 0
        for start in range(0, len(queries), _BATCH):
            rows = slice(start, start + _BATCH)
            some = unit_length.of_array(queries[rows])
            order = index.search(some, len(database))[1]
            relevant = labels[order] == query_labels[rows, None]
            total += sum(average_precisions(relevant))
        return total / len(queries)

    return _pair(arguments, mean_average_precision, repeats)


def _metric_learning(arguments, repeats):
    import torch
    from pytorch_metric_learning.utils import accuracy_calculator

    calculator = accuracy_calculator.AccuracyCalculator(
        include=("mean_average_precision",),
        k=len(arguments[2]),
        device=torch.device("cpu"),
    )
    queries, query_labels, database, labels = map(torch.from_numpy, arguments)
    normalize = torch.nn.functional.normalize

    def mean_average_precision():
        found = calculator.get_accuracy(
            normalize(queries), query_labels, normalize(database), labels
        )
        return found["mean_average_precision"]

    return _pair(arguments, mean_average_precision, repeats)


def _pair(arguments, theirs, repeats):
    points = {}

    def ours():
        found = evaluation.retrieval(*arguments)
        points["ours"] = 100 * found.mean_average_precision

    def plain():
        points["plain"] = 100 * theirs()

    return {
        **paired(ours, plain, len(arguments[0]), repeats),
        "map_difference": abs(points["ours"] - points["plain"]),
    }


def _cells(arguments, neighbours=100):
    import faiss

    queries, query_labels, database, labels = arguments
    queries, database = map(unit_length.of_array, (queries, database))
    width = database.shape[1]
    cells = min(1024, len(database) // 40)
    start = time.perf_counter()
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT
    )
    index.train(database)
    index.add(database)
    built = time.perf_counter()
    index.nprobe = max(cells // 16, 1)
    found = index.search(queries, neighbours)[1]
    searched = time.perf_counter()
    flat = faiss.IndexFlatIP(width)
    flat.add(database)
    nearest = flat.search(queries, neighbours)[1]
    both = [np.isin(*rows).mean() for rows in zip(nearest, found, strict=True)]
    return {
        "seconds": searched - built,
        "p@100": float((labels[found] == query_labels[:, None]).mean()),
        "build_seconds": built - start,
        "recall@100": float(np.mean(both)),
    }
