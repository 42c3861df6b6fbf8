"""Distances between two sets of vectors as one product of two matrices."""

import numpy as np

from indistill_tf import unit_length
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

# Items whose mean and distance from it are found at a time.
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
    def left(rows):
        return -bound * _unit(_finite(queries[rows]))

    def right(rows):
        return _unit(_finite(database[rows]))

    return left, right


def _euclidean(queries, database, bound):
    """|x|^2 - 2qx + |q|^2, about the mean to be near zero where q is near x.

    No distance exceeds that of the query from the mean plus the largest of an
    item, which is scaled to the bound; a distance of 0 is at minus the bound.
    """
    every = [
        slice(start, start + _PART_ROWS)
        for start in range(0, len(database), _PART_ROWS)
    ]
    mean = sum(_finite(database[rows]).sum(axis=0) for rows in every)
    mean /= len(database)
    radius = max(_norms(_finite(database[rows]) - mean).max() for rows in every)

    def left(rows):
        centred = _finite(queries[rows]) - mean
        norms = _norms(centred)
        scale = 2 * bound / _not_zero((norms + radius) ** 2)
        constant = scale * norms**2 - bound
        return np.hstack([-2 * scale * centred, scale, constant])

    def right(rows):
        centred = _finite(database[rows]) - mean
        return np.hstack(
            [centred, _norms(centred) ** 2, np.ones((len(centred), 1))]
        )

    return left, right


_FACTORS = {"cosine": _cosine, "euclidean": _euclidean}
METRICS = tuple(_FACTORS)


def _finite(rows):
    rows = rows.astype("float64")
    rows[~np.isfinite(rows).all(axis=1)] = 0
    return rows


def _norms(rows):
    return np.linalg.norm(rows, axis=1, keepdims=True)


def _unit(rows):
    # Of the shortest vectors too the direction counts.
    return unit_length.of_array(rows, np.finfo("float64").tiny)


def _not_zero(values):
    return np.where(values == 0, 1, values)
