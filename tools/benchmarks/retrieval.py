"""Queries a second of the evaluation of retrieval."""

import os
import threading

import numpy as np

from indistill_tf import evaluation
from indistill_tf.errors import UserError
from indistill_tf_tools.benchmarks.paired import paired

_BATCH = 128
_FEATURES = 64
_CLASSES = 10


def retrieval(
    data_dir=None,
    repeats=5,
    queries=10_000,
    items=50_000,
    protocols=("reference", "standard"),
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
        `peak_mbyte`, by how much the process grows at most during ours, as
        sampled from Linux' /proc every millisecond, else None.

    Raises:
        UserError: if scikit-learn is not installed.
    """
    del data_dir
    neighbours = _scikit_learn_neighbours()
    arguments = _features(queries, items)
    return {
        protocol: _measure(neighbours, arguments, protocol, repeats)
        for protocol in protocols
    }


def _measure(neighbours, arguments, protocol, repeats):
    points = {}

    def ours():
        found = evaluation.retrieval(*arguments, protocol=protocol)
        points["ours"] = 100 * found.mean_average_precision

    def plain():
        points["plain"] = 100 * _plain(neighbours, *arguments, protocol)

    peak = _peak_growth(ours)
    return {
        **paired(ours, plain, len(arguments[0]), repeats),
        "map_ours": points["ours"],
        "map_plain": points["plain"],
        "map_difference": abs(points["ours"] - points["plain"]),
        "peak_mbyte": peak and peak / 1e6,
    }


def _scikit_learn_neighbours():
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError:
        raise UserError(
            "The case 'retrieval' measures against scikit-learn, which is not "
            "installed. Install it: pip install 'indistill_tf[benchmark]'."
        ) from None
    return NearestNeighbors


def _features(queries, items):
    rng = np.random.default_rng(0)
    means = rng.normal(size=(_CLASSES, _FEATURES))
    result = []
    for count in (queries, items):
        labels = np.arange(count) % _CLASSES
        noise = rng.normal(scale=2, size=(count, _FEATURES))
        result += [(means[labels] + noise).astype("float32"), labels]
    return result


def _plain(neighbours, queries, query_labels, database, labels, protocol):
    """Returns the mean average precision."""
    index = neighbours(
        n_neighbors=len(database), algorithm="brute", metric="cosine"
    ).fit(database)
    average = _reference if protocol == "reference" else _standard
    total = 0
    for start in range(0, len(queries), _BATCH):
        batch = slice(start, start + _BATCH)
        _, order = index.kneighbors(queries[batch])
        relevant = np.zeros_like(order)
        for row, label in enumerate(query_labels[batch]):
            relevant[row] = labels[order[row]] == label
        total += sum(average(relevant))
    return total / len(queries)


def _standard(relevant):
    ranks = np.arange(1, relevant.shape[1] + 1)
    for row in relevant:
        hits = np.cumsum(row)
        yield (hits / ranks)[row == 1].mean()


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


def _peak_growth(function):
    if not os.path.exists("/proc/self/statm"):
        function()
        return None
    before, peak = _resident(), 0
    worker = threading.Thread(target=function)
    worker.start()
    while worker.is_alive():
        peak = max(peak, _resident())
        worker.join(0.001)
    return max(peak - before, 0)


def _resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
