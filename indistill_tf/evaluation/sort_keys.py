"""Ranks of relevant items from sort keys: integers that carry the relevance."""

import numpy as np

# Distances are scaled to +-BOUND. Their integer part makes a sort key of 31
# bits, which leaves one bit of an int32 for the relevance. The half keeps the
# distance 0, which is at -BOUND, from falling to two different integers.
BOUND = 2**30 - 1000.5

# Bytes that `SortKeys` needs for an item of the database.
BYTES_AN_ITEM = 48

_FINE = 2**6
_MOST_TIES = 16

# The keys that a thread sorts in one call. One query of a small database at a
# time, threads would spend their time waiting for the interpreter's lock.
_KEYS_AT_ONCE = 200_000


class SortKeys:
    """What a thread ranks with: its memory, used again and again.

    Integers that carry the relevance in their last bit are sorted several
    times faster than positions by `argsort`. Between equal distances that bit
    puts the irrelevant items first, which is put right afterwards.

    Args:
        order: int array `[M]`, the position in the database of each column
            of the products. Equal distances keep the positions' order.

    Attributes:
        rows: int, the queries that are ranked at once, at most.
    """

    def __init__(self, order):
        self._order = order
        self.rows = max(_KEYS_AT_ONCE // len(order), 1)
        # The first column stands before a row's first key and is marked. With
        # ten classes more than a tenth of the bits are then set, from where on
        # NumPy finds them without a branch for each, in half the time.
        self._keys = np.zeros((self.rows, 1 + len(order)), "int32")
        self._bits = np.ones((self.rows, 1 + len(order)), bool)

    def ranks(self, products, relevant):
        """Returns the ranks of all relevant items of each row.

        Args:
            products: float64 array `[n, M]` in -BOUND..BOUND, n <= `rows`.
            relevant: list of n slices of columns.

        Returns:
            List of n increasing int arrays, ranks counted from 0.
        """
        keys, bits = self._keys[: len(products)], self._bits[: len(products)]
        sorted_keys = keys[:, 1:]
        np.copyto(sorted_keys, products, casting="unsafe")
        sorted_keys <<= 1
        for row, part in zip(sorted_keys, relevant, strict=True):
            row[part] |= 1
        sorted_keys.sort(axis=1)
        np.bitwise_and(sorted_keys, 1, out=bits[:, 1:], casting="unsafe")
        marked = np.flatnonzero(bits)
        before = marked - 1
        tied = keys.take(before) == keys.take(marked) - 1
        result, end = [], 0
        for row, part in enumerate(relevant):
            start, end = end + 1, end + 1 + part.stop - part.start
            ranks = before[start:end] - row * keys.shape[1]
            if tied[start:end].any():
                ties = sorted_keys[row, ranks[tied[start:end]]]
                self._settle(ranks, ties, sorted_keys[row], products[row], part)
            result.append(ranks)
        return result

    def _settle(self, ranks, tied, keys, products, relevant):
        """Brings the ranks of items with equal keys into their order."""
        if len(tied) > _MOST_TIES:
            every = np.arange(len(products))
            ranks[:] = np.flatnonzero(self._in_order(products, every, relevant))
            return
        for key in tied:
            equal = np.flatnonzero(products.astype("int32") == key >> 1)
            hits = np.flatnonzero(self._in_order(products, equal, relevant))
            first = np.searchsorted(keys, key - 1)
            start = np.searchsorted(ranks, first)
            ranks[start : start + len(hits)] = first + hits

    def _in_order(self, products, columns, relevant):
        """Returns the relevance of columns by distance, ties by position."""
        distances = np.rint(products[columns] * _FINE)
        columns = columns[np.lexsort((self._order[columns], distances))]
        return (columns >= relevant.start) & (columns < relevant.stop)
