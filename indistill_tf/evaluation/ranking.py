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

# The keys that a thread sorts in one call. One query of a small database at a
# time, threads would spend their time waiting for the interpreter's lock.
_KEYS_AT_ONCE = 400_000

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
        labels: int array `[M]`.
        metric: `"cosine"` or `"euclidean"`.
        visit: function `(query, ranks)` called once for each query, in any
            order and from several threads, with its index and the ranks of
            its relevant items, counted from 0, an increasing int array.
    """
    left, right = distances.scaled(queries, database, metric, _BOUND)
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
        keys = _Keys(order)
        for row in range(first, last, keys.rows):
            rows = slice(row, min(row + keys.rows, last))
            these = range(start + rows.start, start + rows.stop)
            relevant = [slice(starts[query], ends[query]) for query in these]
            found = keys.ranks(products[rows], relevant)
            for query, ranks in zip(these, found, strict=True):
                visit(query, ranks)

    fill = _filler(right, order)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(queries), block):
            count = min(block, len(queries) - start)
            fill(left(slice(start, start + count)), products)
            ends_of_shares = [count * i // workers for i in range(workers + 1)]
            list(
                pool.map(
                    rank,
                    [start] * workers,
                    ends_of_shares,
                    ends_of_shares[1:],
                )
            )


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
    return min(max(_THREAD_BYTES // (_BYTES_AN_ITEM * items), 1), cores)


class _Keys:
    """What a thread ranks with: its memory, used again and again.

    Integers that carry the relevance in their last bit are sorted several
    times faster than positions by `argsort`. Between equal distances that bit
    puts the irrelevant items first, which is put right afterwards.

    Args:
        order: int array `[M]`, the position in the database of each product.
    """

    def __init__(self, order):
        self._order = order
        self.rows = max(_KEYS_AT_ONCE // len(order), 1)
        self._keys = np.empty((self.rows, len(order)), "int32")
        self._bits = np.empty((self.rows, len(order)), bool)

    def ranks(self, products, relevant):
        """Returns the ranks of the relevant items of each row.

        Args:
            products: float64 array `[n, M]`, n <= `rows`.
            relevant: list of n slices.
        """
        keys, bits = self._keys[: len(products)], self._bits[: len(products)]
        np.copyto(keys, products, casting="unsafe")
        keys <<= 1
        for row, part in zip(keys, relevant, strict=True):
            row[part] |= 1
        keys.sort(axis=1)
        np.bitwise_and(keys, 1, out=bits, casting="unsafe")
        # Of all rows at once. That a row's first key is compared with the
        # last of the row before costs a look at worst.
        hits = np.flatnonzero(bits)
        tied = keys.take(hits - 1) == keys.take(hits) - 1
        result, end = [], 0
        for row, part in enumerate(relevant):
            start, end = end, end + part.stop - part.start
            ranks = hits[start:end] - row * len(self._order)
            if tied[start:end].any():
                ranks = self._settled(
                    ranks,
                    ranks[tied[start:end]],
                    keys[row],
                    products[row],
                    part,
                )
            result.append(ranks)
        return result

    def _settled(self, ranks, tied, keys, products, relevant):
        """Returns ranks with the items of equal keys in their order."""
        if len(tied) > _MOST_TIES:
            every = np.arange(len(products))
            return np.flatnonzero(self._in_order(products, every, relevant))
        for key in keys[tied]:
            equal = np.flatnonzero(products.astype("int32") == key >> 1)
            hits = np.flatnonzero(self._in_order(products, equal, relevant))
            first = np.searchsorted(keys, key - 1)
            start = np.searchsorted(ranks, first)
            ranks[start : start + len(hits)] = first + hits
        return ranks

    def _in_order(self, products, items, relevant):
        """Returns the relevance of items by distance, ties by position."""
        order = np.lexsort(
            (self._order[items], np.rint(products[items] * _FINE))
        )
        items = items[order]
        return (items >= relevant.start) & (items < relevant.stop)
