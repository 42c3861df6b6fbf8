"""Exact ranks of the relevant items of a database, in bounded memory."""

import concurrent.futures
import os

import numpy as np

from indistill_tf.evaluation import distances
from indistill_tf.evaluation import sort_keys
from indistill_tf.evaluation.sort_keys import SortKeys

# Bytes of a block of distances, of a database kept in float64, of a part of
# one that is too large to be kept, and of what the threads need beside. With
# the copies made on the way their sum stays below 1 GiB.
_BLOCK_BYTES = 2**29
_KEPT_BYTES = 2**27
_PART_BYTES = 2**24
_THREAD_BYTES = 2**28
_MOST_QUERIES = 256


def relevant_ranks(queries, query_labels, database, labels, metric, visit):
    """Finds where the items with the label of a query stand in its ranking.

    The queries are worked off in blocks, chosen so that memory stays below
    1 GiB for up to five million items, on all cores. Distances are float64;
    those that differ by less than 1e-11 of the largest possible one are equal,
    and equal ones keep the database's order.

    Args:
        queries: float array `[Q, D]`.
        query_labels: int array `[Q]`.
        database: float array `[M, D]`.
        labels: int array `[M]`.
        metric: `"cosine"` or `"euclidean"`.
        visit: function `(query, ranks)` called once for each query, in any
            order and from several threads, with its index and the ranks of
            its relevant items, counted from 0, an increasing int array.
    """
    left, right = distances.scaled(queries, database, metric, sort_keys.BOUND)
    # Sorted by label: so a query's relevant items are a slice.
    order = np.argsort(labels, kind="stable")
    starts, ends = (
        np.searchsorted(labels, query_labels, side, sorter=order)
        for side in ("left", "right")
    )
    block = min(_block_queries(len(database)), len(queries))
    products = np.empty((block, len(database)))
    workers = _workers(len(database))

    def rank(start, first, last):
        keys = SortKeys(order)
        for row in range(first, last, keys.rows):
            rows = slice(row, min(row + keys.rows, last))
            numbers = range(start + rows.start, start + rows.stop)
            relevant = [slice(starts[query], ends[query]) for query in numbers]
            all_ranks = keys.ranks(products[rows], relevant)
            for query, ranks in zip(numbers, all_ranks, strict=True):
                visit(query, ranks)

    fill = _filler(right, order)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(queries), block):
            count = min(block, len(queries) - start)
            fill(left(slice(start, start + count)), products)
            bounds = [count * i // workers for i in range(workers + 1)]
            list(pool.map(rank, [start] * workers, bounds[:-1], bounds[1:]))


def _filler(right, order):
    """Returns a function that writes the products of a block of queries.

    One product of large matrices keeps all cores busy; many small ones in
    turns spend their time waiting for each other's threads.
    """
    items, width = len(order), right(order[:1]).shape[1]
    rows = max(_PART_BYTES // (8 * width), 1)
    parts = [
        slice(start, min(start + rows, items))
        for start in range(0, items, rows)
    ]
    if 8 * width * items <= _KEPT_BYTES:
        kept = np.empty((items, width))
        for part in parts:
            kept[part] = right(order[part])
        return lambda left, out: np.matmul(left, kept.T, out=out[: len(left)])

    def fill(left, out):
        for part in parts:
            np.matmul(left, right(order[part]).T, out=out[: len(left), part])

    return fill


def _block_queries(items):
    return min(max(_BLOCK_BYTES // (8 * items), 1), _MOST_QUERIES)


def _workers(items):
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    return min(
        max(_THREAD_BYTES // (sort_keys.BYTES_AN_ITEM * items), 1), cores
    )
