"""Retrieval: rank a database by similarity to each query, by exact search."""

import dataclasses

import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

METRICS = ("cosine", "euclidean")
PROTOCOLS = ("standard", "reference")


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """Retrieval scores.

    Attributes:
        mean_average_precision: float in 0..1.
        precision_at: dict from rank to float in 0..1.
        average_precision: float64 array `[Q]`, one value a query.
    """

    mean_average_precision: float
    precision_at: dict
    average_precision: np.ndarray


def retrieval(
    queries,
    query_labels,
    database,
    database_labels,
    metric="cosine",
    protocol="standard",
    ranks=(1, 10, 100),
    query_batch=128,
):
    """Scores how well features retrieve images of the same class.

    Every query ranks the whole database; an item is relevant if it has the
    query's label. Equal distances keep the database's order.

    With protocol `"standard"`, average precision is the mean of the precision
    at the ranks of the relevant items, and precision at k counts the relevant
    among the first k. With `"reference"` both are what the evaluation code of
    InDistill and PKT-H-CR computes, for comparison with the papers' tables:
    11-point interpolation at the ranks of nearest recall, where precision is
    replaced by its running maximum over the first `query_batch` ranks only.
    The values then depend on `query_batch`, also through a smaller last batch.

    Args:
        queries: array `[Q, D]`.
        query_labels: int array `[Q]`.
        database: array `[M, D]`.
        database_labels: int array `[M]`.
        metric: `"cosine"` or `"euclidean"`. Defaults to `"cosine"`.
        protocol: `"standard"` or `"reference"`. Defaults to `"standard"`.
        ranks: ints, the k of precision at k. Defaults to (1, 10, 100).
        query_batch: int, queries ranked at a time; memory grows with
            `query_batch * M`. Defaults to 128, the reference's.

    Returns:
        `Retrieval`.

    Raises:
        UserError: if an argument does not fit, a rank exceeds M, or a query's
            label is not in the database.

    References:
        - [Passalis et al., 2020](https://arxiv.org/abs/2005.00727)
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), sec. 4.4
    """
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    query_labels = np.asarray(query_labels).ravel()
    database_labels = np.asarray(database_labels).ravel()
    distances = _distance_function(queries, database, metric)
    _check(query_labels, database_labels, len(queries), len(database), ranks)
    if protocol == "reference" and query_batch > len(database):
        raise UserError(
            f"The reference protocol needs query_batch <= {len(database)} "
            f"database items. Received: query_batch={query_batch}"
        )
    classes, sizes = np.unique(database_labels, return_counts=True)
    class_sizes = sizes[np.searchsorted(classes, query_labels)]
    score = _standard if protocol == "standard" else _reference
    average_precision, precision = [], []
    for start in range(0, len(query_labels), query_batch):
        batch = slice(start, start + query_batch)
        order = _ranking(distances(batch))
        relevant = database_labels[order] == query_labels[batch, None]
        batch_scores = score(relevant, class_sizes[batch], np.asarray(ranks))
        average_precision.append(batch_scores[0])
        precision.append(batch_scores[1])
    average_precision = np.concatenate(average_precision)
    precision = np.concatenate(precision).mean(axis=0)
    return Retrieval(
        mean_average_precision=float(average_precision.mean()),
        precision_at={
            int(rank): float(value)
            for rank, value in zip(ranks, precision, strict=True)
        },
        average_precision=average_precision,
    )


def _check(query_labels, database_labels, num_queries, num_database, ranks):
    if num_queries == 0 or num_database == 0:
        raise UserError("Retrieval needs at least one query and one item.")
    for name, labels, count in (
        ("query", query_labels, num_queries),
        ("database", database_labels, num_database),
    ):
        if len(labels) != count:
            raise UserError(
                f"There are {count} {name} features but {len(labels)} labels."
            )
    if not all(1 <= rank <= num_database for rank in ranks):
        raise UserError(
            f"Ranks must be between 1 and the {num_database} items of the "
            f"database. Received: {tuple(ranks)}"
        )
    missing = np.setdiff1d(query_labels, database_labels)
    if len(missing):
        raise UserError(
            f"Query labels {missing.tolist()} are not in the database, so "
            "nothing is relevant to these queries."
        )


def _distance_function(queries, database, metric):
    """Returns a function from a slice of queries to distances `[q, M]`."""
    queries = np.asarray(queries, "float64")
    database = np.asarray(database, "float64")
    if queries.ndim != 2 or queries.shape[1:] != database.shape[1:]:
        raise UserError(
            "Queries and database must be [Q, D] and [M, D]. Received: "
            f"{queries.shape} and {database.shape}"
        )
    if metric == "cosine":
        queries, database = _unit_rows(queries), _unit_rows(database)
        return lambda batch: 1 - queries[batch] @ database.T
    if metric == "euclidean":
        squares = np.square(database).sum(axis=1)

        def squared_distances(batch):
            part = queries[batch]
            own = np.square(part).sum(axis=1, keepdims=True)
            return own + squares - 2 * (part @ database.T)

        return squared_distances
    raise unknown_name("metric", metric, METRICS)


def _unit_rows(features):
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(norms == 0, 1, norms)


def _ranking(distances):
    """Returns the items of each row by distance, ties by position.

    The bits of a non-negative float32 order as an integer does, so distance
    and position packed into one integer are sorted at once; that is several
    times faster than `argsort`.
    """
    bits = np.maximum(distances, 0).astype("float32").view("uint32")
    keys = (bits.astype("uint64") << 32) | np.arange(
        distances.shape[1], dtype="uint64"
    )
    keys.sort(axis=1)
    return (keys & 0xFFFFFFFF).astype("int64")


def _standard(relevant, class_sizes, ranks):
    rows, columns = np.nonzero(relevant)
    first = np.cumsum(class_sizes) - class_sizes
    hits = np.arange(len(rows)) - first[rows] + 1
    sums = np.bincount(rows, hits / (columns + 1), minlength=len(relevant))
    top = np.cumsum(relevant[:, : ranks.max()], axis=1)
    return sums / class_sizes, top[:, ranks - 1] / ranks


def _reference(relevant, class_sizes, ranks):
    window = len(relevant)
    hits = np.cumsum(relevant, axis=1)
    precision = hits / np.arange(1, relevant.shape[1] + 1)
    head = precision[:, :window]
    precision[:, :window] = np.maximum.accumulate(head[:, ::-1], axis=1)[
        :, ::-1
    ]
    average = [
        row[_nearest_recall_ranks(row_hits, size)].mean()
        for row, row_hits, size in zip(
            precision, hits, class_sizes, strict=True
        )
    ]
    return np.array(average), precision[:, ranks - 1]


def _nearest_recall_ranks(hits, size):
    """Returns the first rank whose recall is nearest to 0, 0.1, ..., 1."""
    first = hits[0]
    recalls = np.arange(first, size + 1) / size
    levels = np.linspace(0, 1, 11)
    nearest = np.abs(recalls - levels[:, None]).argmin(axis=1) + first
    return np.searchsorted(hits, nearest)
