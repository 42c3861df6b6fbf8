"""Retrieval: rank a database by similarity to each query, by exact search."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.evaluation import distances
from indistill_tf.evaluation.ranking import relevant_ranks
from indistill_tf.hints import Tensor

METRICS = distances.METRICS


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
    queries: Tensor,
    query_labels: Tensor,
    database: Tensor,
    database_labels: Tensor,
    metric: str = "cosine",
    protocol: str | Sequence[str] = "standard",
    ranks: Sequence[int] = (1, 10, 100),
    query_batch: int = 128,
) -> Retrieval | dict[str, Retrieval]:
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
        protocol: `"standard"` or `"reference"`, or several of them, which
            share one ranking. Defaults to `"standard"`.
        ranks: ints, the k of precision at k. Defaults to (1, 10, 100).
        query_batch: int, of the reference protocol alone. Defaults to 128,
            as there. It changes neither memory, which stays below 1 GiB (see
            `evaluation.ranking`), nor speed.

    Returns:
        `Retrieval`, or of several protocols a dict from each to its own.

    Raises:
        UserError: if an argument does not fit, a rank exceeds M, or a query's
            label is not in the database.

    Example:

    >>> database = [[2.0, 0.1], [0.0, 1.0], [1.0, 0.0]]
    >>> scores = retrieval([[1.0, 0.0]], [7], database, [7, 8, 8], ranks=(1, 2))
    >>> scores.precision_at
    {1: 0.0, 2: 0.5}
    >>> scores.mean_average_precision
    0.5

    References:
        - [Passalis et al., 2020](https://arxiv.org/abs/2005.00727)
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), sec. 4.4
    """
    protocols = (protocol,) if isinstance(protocol, str) else tuple(protocol)
    queries, database = np.asarray(queries), np.asarray(database)
    query_labels = np.asarray(query_labels).ravel()
    database_labels = np.asarray(database_labels).ravel()
    distances.check(queries, database, metric)
    _check(query_labels, database_labels, len(queries), len(database), ranks)
    _check_protocols(protocols, query_batch, len(database))
    classes, database_labels = np.unique(database_labels, return_inverse=True)
    query_labels = np.searchsorted(classes, query_labels)
    smallest = np.min_scalar_type(len(classes))
    tallies = {
        name: _Tally(
            _SCORES[name](
                len(queries), len(database), np.asarray(ranks), query_batch
            ),
            len(queries),
            ranks,
        )
        for name in protocols
    }

    def visit(query, hits):
        for tally in tallies.values():
            tally.add(query, hits)

    relevant_ranks(
        queries,
        query_labels.astype(smallest),
        database,
        database_labels.astype(smallest),
        metric,
        visit,
    )
    results = {name: tally.result() for name, tally in tallies.items()}
    return results[protocol] if isinstance(protocol, str) else results


class _Tally:
    """The scores of all queries by one protocol, as they come in."""

    def __init__(self, score, queries, ranks):
        self._score, self._ranks = score, ranks
        self._average_precision = np.empty(queries)
        self._precision = np.empty((queries, len(ranks)))

    def add(self, query, hits):
        self._average_precision[query], self._precision[query] = self._score(
            query, hits
        )

    def result(self):
        means = self._precision.mean(axis=0)
        return Retrieval(
            mean_average_precision=float(self._average_precision.mean()),
            precision_at={
                int(rank): float(mean)
                for rank, mean in zip(self._ranks, means, strict=True)
            },
            average_precision=self._average_precision,
        )


def _check_protocols(protocols, query_batch, items):
    if not protocols:
        raise UserError(
            "`protocol` must name at least one protocol. Received: ()"
        )
    for name in protocols:
        if name not in PROTOCOLS:
            raise unknown_name("protocol", name, PROTOCOLS)
    if "reference" in protocols and query_batch > items:
        raise UserError(
            "`query_batch` of the reference protocol must be at most the "
            f"{items} database items. Received: query_batch={query_batch}"
        )


def _check(query_labels, database_labels, num_queries, num_database, ranks):
    if num_queries == 0 or num_database == 0:
        raise UserError(
            "Retrieval needs at least one query and one item. Received: "
            f"{num_queries} queries and {num_database} items."
        )
    for name, labels, count in (
        ("query", query_labels, num_queries),
        ("database", database_labels, num_database),
    ):
        if len(labels) != count:
            raise UserError(
                f"`{name}_labels` must hold one label for each feature. "
                f"Received: {count} {name} features but {len(labels)} labels."
            )
    if not all(1 <= rank <= num_database for rank in ranks):
        raise UserError(
            f"`ranks` must be between 1 and the {num_database} items of the "
            f"database. Received: ranks={tuple(ranks)}"
        )
    missing = np.setdiff1d(query_labels, database_labels)
    if len(missing):
        raise UserError(
            f"Query labels {missing.tolist()} are not in the database, so "
            "nothing is relevant to these queries."
        )


def _standard(queries, items, ranks, query_batch):
    """Returns a function from a query and its hits' ranks to its scores."""
    del queries, query_batch
    weights = 1 / np.arange(1, items + 1)
    counts = np.arange(1.0, items + 1)

    def score(query, hits):
        del query
        average = weights[hits] @ counts[: len(hits)] / len(hits)
        return average, np.searchsorted(hits, ranks) / ranks

    return score


def _reference(queries, items, ranks, query_batch):
    """Returns a function to the same as the papers' code computes it."""
    del items

    def score(query, hits):
        batch = query - query % query_batch
        window = min(query_batch, queries - batch)
        among = np.arange(1, window + 1)
        head = np.searchsorted(hits, among) / among
        head = np.maximum.accumulate(head[::-1])[::-1]

        def precision(rank, plain):
            return np.where(
                rank <= window, head[np.minimum(rank, window) - 1], plain
            )

        nearest = _nearest_recalls(len(hits))
        # A recall of 0 is at the first rank, whatever is there.
        first = np.where(nearest == 0, 1, hits[nearest - 1] + 1)
        return (
            precision(first, nearest / first).mean(),
            precision(ranks, np.searchsorted(hits, ranks) / ranks),
        )

    return score


_SCORES = {"standard": _standard, "reference": _reference}
PROTOCOLS = tuple(_SCORES)


@functools.lru_cache(maxsize=1024)
def _nearest_recalls(size):
    """Returns how many hits give the recall nearest to 0, 0.1, ..., 1.

    Args:
        size: number of relevant items.
    """
    recalls = np.arange(size + 1) / size
    return np.abs(recalls - np.linspace(0, 1, 11)[:, None]).argmin(axis=1)
