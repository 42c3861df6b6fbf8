"""Exact ranks of the relevant items of a database, in bounded memory."""

import concurrent.futures
import os

import numpy as np

from indistill_tf.evaluation import distances

# Bytes of a block of distances, of a database kept in float64, of a part of
# one that is too large to be kept, and of what the threads need beside. With
# the copies made on the way their sum stays below 1 GiB.
_BLOCK_BYTES = 2**28
_KEPT_BYTES = 2**27
_PART_BYTES = 2**24
_THREAD_BYTES = 2**28
_BYTES_AN_ITEM = 48
_MOST_QUERIES = 256

# Distances are scaled to +-_BOUND. Their integer part makes a sort key of 31
# bits, which leaves one bit of an int32 for the relevance. The half keeps the
# distance 0, which is at -_BOUND, from falling to two different integers.
_BOUND = 2**30 - 1000.5
_FINE = 2**6
_MOST_TIES = 16


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
        labels: int array `[M]`; of the same small type as `query_labels`
            they are compared fastest.
        metric: `"cosine"` or `"euclidean"`.
        visit: function `(query, ranks)` called once for each query, in any
            order and from several threads, with its index and the ranks of
            its relevant items, counted from 0, an increasing int array.
    """
    left, right = distances.scaled(queries, database, metric, _BOUND)
    block = min(_block_queries(len(database)), len(queries))
    products = np.empty((block, len(database)))
    workers = _workers(len(database))

    def rank(start, rows):
        for row in rows:
            relevant = labels == query_labels[start + row]
            visit(start + row, _ranks(products[row], relevant))

    fill = _filler(right, len(database))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(queries), block):
            count = min(block, len(queries) - start)
            fill(left(slice(start, start + count)), products)
            shares = [range(i, count, workers) for i in range(workers)]
            list(pool.map(rank, [start] * workers, shares))


def _filler(right, items):
    """Returns a function that writes the products of a block of queries.

    One product of large matrices keeps all cores busy; many small ones in
    turns spend their time waiting for each other's threads.
    """
    width = right(slice(0, 1)).shape[1]
    rows = max(_PART_BYTES // (8 * width), 1)
    parts = [
        slice(start, min(start + rows, items))
        for start in range(0, items, rows)
    ]
    if 8 * width * items <= _KEPT_BYTES:
        kept = np.empty((items, width))
        for part in parts:
            kept[part] = right(part)
        return lambda left, out: np.matmul(left, kept.T, out=out[: len(left)])

    def fill(left, out):
        for part in parts:
            np.matmul(left, right(part).T, out=out[: len(left), part])

    return fill


def _block_queries(items):
    return min(max(_BLOCK_BYTES // (8 * items), 1), _MOST_QUERIES)


def _workers(items):
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    return min(max(_THREAD_BYTES // (_BYTES_AN_ITEM * items), 1), cores)


def _ranks(products, relevant):
    """Returns the ranks of the relevant items, counted from 0.

    Integers that carry the relevance in their last bit are sorted several
    times faster than positions by `argsort`. Between equal distances that bit
    puts the irrelevant items first, which is put right afterwards.
    """
    keys = products.astype("int32")
    keys <<= 1
    keys |= relevant
    keys.sort()
    ranks = np.flatnonzero((keys & 1).astype(bool))
    tied = ranks[keys.take(ranks - 1) == keys.take(ranks) - 1]
    if len(tied) > _MOST_TIES:
        return np.flatnonzero(_in_order(products, relevant))
    for key in keys[tied]:
        _settle(ranks, keys, key, products, relevant)
    return ranks


def _settle(ranks, keys, key, products, relevant):
    """Orders the items of one key by finer distance, then by position."""
    equal = np.flatnonzero(products.astype("int32") == key >> 1)
    hits = np.flatnonzero(_in_order(products[equal], relevant[equal]))
    first = np.searchsorted(keys, key - 1)
    start = np.searchsorted(ranks, first)
    ranks[start : start + len(hits)] = first + hits


def _in_order(products, relevant):
    """Returns the relevance by distance, ties by position.

    Distance and position share an integer, which sorts faster than `argsort`.
    """
    bits = len(products).bit_length()
    keys = np.rint(products * _FINE).astype("int64") << bits
    keys |= np.arange(len(products))
    keys.sort()
    return relevant[keys & (1 << bits) - 1]
