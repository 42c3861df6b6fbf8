"""Distances between two sets of vectors as one product of two matrices."""

import numpy as np

from indistill_tf import unit_length
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

# Rows whose lengths and sum are found at a time.
_PART_ROWS = 8192


def scaled(queries, database, metric, bound):
    """Returns factors whose product orders a database as distance does.

    `left[i] @ right[j]` is an increasing function of the distance between
    query i and item j, the same for all j, and lies in -bound..bound, so that
    no further pass over all distances is needed to scale them.

    Args:
        queries: float array `[Q, D]`.
        database: float array `[M, D]`.
        metric: `"cosine"` or `"euclidean"`.
        bound: float > 0.

    Returns:
        Functions `left` and `right` from a slice or positions, of queries or
        of items, to float64 `[n, K]`. A vector that is not finite counts as
        zero.
    """
    return _FACTORS[metric](queries, database, bound)


def check(queries, database, metric):
    """Raises a `UserError` if the shapes or the metric do not fit.

    Args:
        queries: array, expected to be `[Q, D]`.
        database: array, expected to be `[M, D]`.
        metric: expected to be `"cosine"` or `"euclidean"`.
    """
    if queries.ndim != 2 or queries.shape[1:] != database.shape[1:]:
        raise UserError(
            "Queries and database must be [Q, D] and [M, D]. Received: "
            f"{queries.shape} and {database.shape}"
        )
    if metric not in _FACTORS:
        raise unknown_name("metric", metric, METRICS)


def _cosine(queries, database, bound):
    read_queries, read = _reader(queries), _reader(database)
    # Of the shortest vectors too the direction counts.
    tiny = np.finfo("float64").tiny
    lengths = np.concatenate(
        [np.maximum(_norms(read(rows)), tiny) for rows in _parts(database)]
    )

    def left(rows):
        return -bound * unit_length.of_array(read_queries(rows), tiny)

    def right(rows):
        vectors = read(rows)
        vectors /= lengths[rows]
        return vectors

    return left, right


def _euclidean(queries, database, bound):
    """|x|^2 - 2qx + |q|^2, about the mean to be near zero where q is near x.

    No distance exceeds that of the query from the mean plus the largest of an
    item, which is scaled to the bound; a distance of 0 is at minus the bound.
    """
    read_queries, read = _reader(queries), _reader(database)
    mean = sum(read(rows).sum(axis=0) for rows in _parts(database))
    mean /= len(database)
    lengths = np.concatenate(
        [_norms(read(rows) - mean) for rows in _parts(database)]
    )
    radius = lengths.max()

    def left(rows):
        centred = read_queries(rows) - mean
        norms = _norms(centred)
        scale = 2 * bound / _not_zero((norms + radius) ** 2)
        constant = scale * norms**2 - bound
        return np.hstack([-2 * scale * centred, scale, constant])

    def right(rows):
        centred = read(rows) - mean
        return np.hstack(
            [centred, lengths[rows] ** 2, np.ones((len(centred), 1))]
        )

    return left, right


_FACTORS = {"cosine": _cosine, "euclidean": _euclidean}
METRICS = tuple(_FACTORS)


def _reader(array):
    """Returns a function from rows to float64, zero if they are not finite.

    A large database is read again for each block of queries, so what can be
    known of its rows is found once.
    """
    damaged = np.concatenate(
        [~np.isfinite(array[rows]).all(axis=1) for rows in _parts(array)]
    )

    def read(rows):
        vectors = array[rows].astype("float64")
        if damaged[rows].any():
            vectors[damaged[rows]] = 0
        return vectors

    return read


def _parts(array):
    return [
        slice(start, start + _PART_ROWS)
        for start in range(0, len(array), _PART_ROWS)
    ]


def _norms(rows):
    return np.linalg.norm(rows, axis=1, keepdims=True)


def _not_zero(values):
    return np.where(values == 0, 1, values)
