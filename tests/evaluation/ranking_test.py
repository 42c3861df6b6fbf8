import tracemalloc

import numpy as np
import pytest

from indistill_tf import evaluation
from indistill_tf.evaluation import ranking


def relevant_ranks(queries, query_labels, database, labels, metric):
    ranks_of = {}
    ranking.relevant_ranks(
        np.asarray(queries),
        np.asarray(query_labels),
        np.asarray(database),
        np.asarray(labels),
        metric,
        lambda query, ranks: ranks_of.update({query: ranks.tolist()}),
    )
    return [ranks_of[query] for query in range(len(queries))]


def plain_ranks(queries, query_labels, database, labels, metric):
    """The same by `argsort`, equal distances by position."""
    if metric == "cosine":
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        database = database / np.linalg.norm(database, axis=1, keepdims=True)
    result = []
    for query, label in zip(queries, query_labels):
        distances = np.square(query - database).sum(axis=1)
        order = np.argsort(distances.round(9), kind="stable")
        result.append(np.flatnonzero(labels[order] == label).tolist())
    return result


def features(rng, rows, kind):
    if kind == "normal":
        return rng.normal(size=(rows, 6))
    if kind == "copies":  # a few equal vectors among many
        values = rng.normal(size=(rows, 6))
        values[rng.integers(0, rows, rows // 20)] = values[0]
        return values
    if kind == "codes":  # nearly all distances are equal to others
        return rng.integers(0, 2, size=(rows, 6)) + 0.5
    # Far from the origin, near to each other.
    return 1000 + 1e-3 * rng.normal(size=(rows, 6))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", ["normal", "copies", "codes"])
def test_the_same_as_argsort(metric, kind):
    rng = np.random.default_rng(0)
    database = features(rng, 700, kind)
    arguments = (
        np.concatenate([features(rng, 30, kind), database[:9]]),
        rng.integers(0, 3, 39),
        database,
        rng.integers(0, 3, 700),
        metric,
    )
    assert relevant_ranks(*arguments) == plain_ranks(*arguments)


def test_euclidean_distances_far_from_the_origin():
    rng = np.random.default_rng(0)
    queries, database = features(rng, 20, "far"), features(rng, 500, "far")
    labels = rng.integers(0, 2, 500)
    ranks = relevant_ranks(queries, [1] * 20, database, labels, "euclidean")
    near = [1000 * (values - 1000) for values in (queries, database)]
    assert ranks == plain_ranks(near[0], [1] * 20, near[1], labels, "euclidean")


def test_an_item_far_away_does_not_blur_the_others():
    # Of distances up to 1e10 an integer of 31 bits does not tell 1 from 4.
    database = [[10.0], [1e5], [3.0], [-2.0], [-1.0]]
    ranks = relevant_ranks([[0.0]], [1], database, [1, 1, 0, 1, 0], "euclidean")
    assert ranks == [[1, 3, 4]]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equal_items_keep_the_order_of_the_database(metric):
    database = np.array([[3.0, 0], [0, 1], [0, 1], [3.0, 0], [0, 1], [0, 1]])
    ranks = relevant_ranks(
        [[0, 1.0], [3.0, 0], [0, 1.0]],
        [1, 1, 2],
        database,
        [1, 0, 1, 2, 2, 1],
        metric,
    )
    # From [0, 1]: items 1, 2, 4, 5, 0, 3. From [3, 0]: 0, 3, 1, 2, 4, 5.
    assert ranks == [[1, 3, 4], [0, 3, 5], [2, 5]]


def test_vectors_that_are_not_finite_count_as_zero():
    database = np.array([[np.nan, 1], [2.0, 2], [0, 0], [np.inf, 1], [1, -3]])
    queries = [[1.0, 1], [np.nan, 0]]
    ranks = relevant_ranks(queries, [1, 1], database, [1, 0, 0, 1, 1], "cosine")
    # Item 1 is at 0, the zero ones at 1, item 4 beyond; then all at 1.
    assert ranks == [[1, 3, 4], [0, 3, 4]]


def test_blocks_that_do_not_divide_the_queries(monkeypatch):
    rng = np.random.default_rng(0)
    arguments = (
        rng.normal(size=(23, 4)),
        rng.integers(0, 3, 23),
        rng.normal(size=(300, 4)),
        rng.integers(0, 3, 300),
        "euclidean",
    )
    whole = relevant_ranks(*arguments)
    monkeypatch.setattr(ranking, "_MOST_QUERIES", 5)
    monkeypatch.setattr(ranking, "_KEPT_BYTES", 0)
    monkeypatch.setattr(ranking, "_PART_BYTES", 7 * 8 * 6)
    assert relevant_ranks(*arguments) == whole == plain_ranks(*arguments)


def test_blocks_shrink_as_the_database_grows():
    assert ranking._block_queries(50_000) == 256
    # 2^29 bytes hold 67 rows of a million float64.
    assert ranking._block_queries(1_000_000) == 67
    assert ranking._block_queries(100_000_000) == 1
    assert ranking._workers(100_000_000) == 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_memory_does_not_grow_with_the_database(metric, monkeypatch):
    # A 32nd of the real limits, so that a database of 60,000 is a large one.
    for name in ("_BLOCK", "_KEPT", "_PART", "_THREAD"):
        value = getattr(ranking, f"{name}_BYTES")
        monkeypatch.setattr(ranking, f"{name}_BYTES", value // 32)
    rng = np.random.default_rng(0)
    database = rng.normal(size=(60_000, 16)).astype("float32")
    labels = np.arange(60_000) % 5
    tracemalloc.start()
    evaluation.retrieval(
        database[:100], labels[:100], database, labels, metric=metric
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All distances would be 48 MB.
    assert peak < 2**30 / 32
