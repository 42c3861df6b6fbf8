"""Queries a second of the evaluation of retrieval."""

import concurrent.futures
import os
import threading

import numpy as np

from indistill_tf import evaluation
from indistill_tf.errors import UserError
from indistill_tf_tools.benchmarks.paired import paired

_BATCH = 128
_FEATURES = 64
_CLASSES = 10
_PROTOCOLS = ("reference", "standard")


def retrieval(
    data_dir=None,
    repeats=5,
    queries=10_000,
    items=50_000,
    protocols=_PROTOCOLS,
):
    """Measures retrieval against scikit-learn's brute-force neighbours.

    The plain way ranks 128 queries at a time with
    `NearestNeighbors(algorithm="brute", metric="cosine")`. With protocol
    `"reference"` it then does what the evaluation code of PKT and InDistill
    does for mean average precision and precision at k: relevance query by
    query, precision and recall of all ranks, and 11 searches for the nearest
    recall. With `"standard"` it only takes the average precision of one query
    after the other. Nothing is scaled up: both rank all queries in each run.
    Features are random about ten class means, float32 `[., 64]`.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        queries: int. Defaults to 10,000, the test images of CIFAR-10.
        items: int, size of the database. Defaults to 50,000.
        protocols: see `evaluation.retrieval`. Defaults to both.

    Returns:
        Dict from protocols to what `paired` returns, of queries a second, and
        `map_ours`, `map_plain` and `map_difference` in points (percent), and
        `peak_mbyte`, see `peak_mbyte`.

    Raises:
        UserError: if scikit-learn is not installed.
    """
    del data_dir
    neighbours = _scikit_learn_neighbours()
    arguments = features(queries, items)
    return {
        protocol: _measure(neighbours, arguments, protocol, repeats)
        for protocol in protocols
    }


def ranking(data_dir=None, repeats=5, queries=10_000, items=50_000):
    """Measures retrieval by both protocols against the least that it takes.

    That is a product of float32 matrices, 256 queries at a time, and a sort of
    its values as 32-bit integers, with a thread for each core. It finds
    nothing: it does not know which items are relevant.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        queries: int. Defaults to 10,000.
        items: int, size of the database. Defaults to 50,000.

    Returns:
        Dict of one row, what `paired` returns, of queries a second.
    """
    del data_dir
    arguments = features(queries, items)
    row = paired(
        lambda: evaluation.retrieval(*arguments, protocol=_PROTOCOLS),
        lambda: _product_and_sort(arguments[0], arguments[2]),
        queries,
        repeats,
    )
    return {"both protocols": row}


def features(queries, items, width=_FEATURES, classes=_CLASSES):
    """Returns random features about class means, and labels.

    Args:
        queries: int.
        items: int.
        width: int, of the features. Defaults to 64.
        classes: int. Defaults to 10.

    Returns:
        List of queries, float32 `[queries, width]`, their labels, the database
        and its labels.
    """
    rng = np.random.default_rng(0)
    means = rng.normal(size=(classes, width)).astype("float32")
    result = []
    for count in (queries, items):
        labels = np.arange(count) % classes
        noise = rng.standard_normal((count, width), dtype="float32")
        noise *= 2
        noise += means[labels]
        result += [noise, labels]
    return result


def peak_mbyte(function):
    """Returns by how much the process grows at most while a function runs.

    Args:
        function: function without arguments.

    Returns:
        Float, 10^6 bytes, as sampled from Linux' /proc every millisecond; None
        where that is not there.
    """
    if not os.path.exists("/proc/self/statm"):
        function()
        return None
    before, peak = _resident(), 0
    worker = threading.Thread(target=function)
    worker.start()
    while worker.is_alive():
        peak = max(peak, _resident())
        worker.join(0.001)
    return max(peak - before, 0) / 1e6


def average_precisions(relevant):
    """Yields the average precision of one query after the other.

    Args:
        relevant: array `[queries, items]` of 0 and 1, in the order of ranks.
    """
    ranks = np.arange(1, relevant.shape[1] + 1)
    for row in relevant:
        hits = np.cumsum(row)
        yield (hits / ranks)[row == 1].mean()


def _measure(neighbours, arguments, protocol, repeats):
    points = {}

    def ours():
        found = evaluation.retrieval(*arguments, protocol=protocol)
        points["ours"] = 100 * found.mean_average_precision

    def plain():
        points["plain"] = 100 * _plain(neighbours, *arguments, protocol)

    return {
        "peak_mbyte": peak_mbyte(ours),
        **paired(ours, plain, len(arguments[0]), repeats),
        "map_ours": points["ours"],
        "map_plain": points["plain"],
        "map_difference": abs(points["ours"] - points["plain"]),
    }


def _product_and_sort(queries, database, block=256):
    workers = os.cpu_count() or 1
    products = np.empty((block, len(database)), "float32")

    def sort(rows):
        for row in rows:
            row.sort()

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(queries), block):
            some = queries[start : start + block]
            found = np.matmul(some, database.T, out=products[: len(some)])
            list(pool.map(sort, np.array_split(found.view("int32"), workers)))


def _scikit_learn_neighbours():
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError:
        raise UserError(
            "The case 'retrieval' measures against scikit-learn, which is not "
            "installed. Install it: pip install 'indistill_tf[benchmark]'."
        ) from None
    return NearestNeighbors


def _plain(neighbours, queries, query_labels, database, labels, protocol):
    """Returns the mean average precision."""
    index = neighbours(
        n_neighbors=len(database), algorithm="brute", metric="cosine"
    ).fit(database)
    average = _reference if protocol == "reference" else average_precisions
    total = 0
    for start in range(0, len(queries), _BATCH):
        batch = slice(start, start + _BATCH)
        _, order = index.kneighbors(queries[batch])
        relevant = np.zeros_like(order)
        for row, label in enumerate(query_labels[batch]):
            relevant[row] = labels[order[row]] == label
        total += sum(average(relevant))
    return total / len(queries)


def _reference(relevant):
    hits = np.cumsum(relevant, axis=1)
    precision = hits / np.arange(1, relevant.shape[1] + 1)
    for rank in reversed(range(len(relevant) - 1)):
        precision[:, rank] = precision[:, rank : rank + 2].max(axis=1)
    recall = hits / hits[:, -1:]
    rows = np.arange(len(relevant))
    found = [
        precision[rows, np.abs(recall - level).argmin(axis=1)]
        for level in np.linspace(0, 1, 11)
    ]
    return np.mean(found, axis=0)


def _resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
