import sys

import numpy as np
import pytest

from indistill_tf import evaluation
from indistill_tf.errors import UserError

RANKS = (1, 10, 50, 100)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("query_batch", [128, 64, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reference_protocol(golden, metric, query_batch, dtype):
    data = golden("retrieval")
    scores = evaluation.retrieval(
        data["query"].astype(dtype),
        data["query_label"],
        data["db"].astype(dtype),
        data["db_label"],
        metric=metric,
        protocol="reference",
        ranks=RANKS,
        query_batch=query_batch,
    )
    key = f"{metric}.reference_bs{query_batch}"
    assert scores.mean_average_precision == pytest.approx(
        float(data[f"{key}.map"]), abs=1e-9
    )
    np.testing.assert_allclose(
        list(scores.precision_at.values()),
        data[f"{key}.precision_at"],
        atol=1e-9,
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("query_batch", [128, 7])
def test_standard_protocol(golden, metric, query_batch):
    data = golden("retrieval")
    scores = evaluation.retrieval(
        data["query"],
        data["query_label"],
        data["db"],
        data["db_label"],
        metric=metric,
        ranks=RANKS,
        query_batch=query_batch,
    )
    np.testing.assert_allclose(
        scores.average_precision, data[f"{metric}.textbook.ap"], atol=1e-9
    )
    np.testing.assert_allclose(
        list(scores.precision_at.values()),
        data[f"{metric}.textbook.precision_at"],
        atol=1e-9,
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_several_protocols_share_a_ranking(golden, metric, monkeypatch):
    data = golden("retrieval")
    arguments = [data[name] for name in ("query", "query_label", "db")]
    arguments.append(data["db_label"])
    alone = {
        protocol: evaluation.retrieval(
            *arguments, metric=metric, protocol=protocol
        )
        for protocol in ("reference", "standard")
    }
    module = sys.modules[evaluation.retrieval.__module__]
    calls = []
    ranks = module.relevant_ranks
    monkeypatch.setattr(
        module, "relevant_ranks", lambda *a: calls.append(ranks(*a))
    )
    both = evaluation.retrieval(
        *arguments, metric=metric, protocol=tuple(alone)
    )
    assert len(calls) == 1
    assert list(both) == ["reference", "standard"]
    for protocol, scores in both.items():
        assert scores.precision_at == alone[protocol].precision_at
        assert (
            scores.average_precision.tolist()
            == alone[protocol].average_precision.tolist()
        )
    assert both["standard"].mean_average_precision == pytest.approx(
        data[f"{metric}.textbook.ap"].mean(), abs=1e-9
    )


def line(relevances):
    """Returns features on a line whose ranking has these relevances."""
    queries = np.zeros((len(relevances), 1))
    database = np.arange(1, len(relevances[0]) + 1.0)[:, None]
    return queries, database


def rank(relevance, copies=1, protocol="reference"):
    queries, database = line([relevance] * copies)
    return evaluation.retrieval(
        queries,
        np.ones(copies, int),
        database,
        np.array(relevance),
        metric="euclidean",
        protocol=protocol,
        ranks=range(1, 7),
        query_batch=copies,
    )


def test_worked_example():
    # hits / rank: 0, 1/2, 2/3, 1/2, 3/5, 1/2
    relevance = [0, 1, 1, 0, 1, 0]
    alone = rank(relevance)
    assert alone.mean_average_precision == pytest.approx(0.487879, abs=1e-6)
    np.testing.assert_allclose(
        list(alone.precision_at.values()),
        [0, 1 / 2, 2 / 3, 1 / 2, 3 / 5, 1 / 2],
    )
    in_pairs = rank(relevance, copies=2)
    assert in_pairs.mean_average_precision == pytest.approx(0.578788, abs=1e-6)
    whole_window = rank(relevance, copies=6)
    assert whole_window.mean_average_precision == pytest.approx(
        0.654545, abs=1e-6
    )
    standard = rank(relevance, protocol="standard")
    expected = (1 / 2 + 2 / 3 + 3 / 5) / 3
    assert standard.mean_average_precision == pytest.approx(expected)


def test_second_worked_example():
    relevance = [1, 0, 0, 0, 1, 1]
    assert rank(relevance, 2).mean_average_precision == pytest.approx(
        0.690909, abs=1e-6
    )
    assert rank(relevance, 6).mean_average_precision == pytest.approx(
        0.727273, abs=1e-6
    )


@pytest.mark.parametrize("protocol", ["standard", "reference"])
def test_perfect_ranking(protocol):
    scores = rank([1, 1, 1, 0, 0, 0], protocol=protocol)
    assert scores.mean_average_precision == 1
    assert scores.precision_at[3] == 1


def test_cosine_ignores_scale_and_survives_zero_vectors():
    rng = np.random.default_rng(0)
    database = rng.normal(size=(40, 5))
    queries = rng.normal(size=(9, 5))
    labels = np.arange(40) % 3
    arguments = (np.arange(9) % 3, database, labels)
    scale = rng.uniform(0.1, 9, size=(9, 1))
    first = evaluation.retrieval(queries, *arguments, ranks=(1, 5))
    second = evaluation.retrieval(queries * scale, *arguments, ranks=(1, 5))
    np.testing.assert_allclose(
        first.average_precision, second.average_precision
    )
    database[:7] = 0
    scores = evaluation.retrieval(queries, *arguments, ranks=(1, 5))
    assert np.isfinite(scores.mean_average_precision)


def test_equal_distances_keep_the_order_of_the_database():
    scores = evaluation.retrieval(
        np.ones((1, 2)), [1], np.ones((4, 2)), [0, 1, 0, 1], ranks=(1, 2)
    )
    assert scores.mean_average_precision == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert scores.precision_at == {1: 0.0, 2: 0.5}


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(metric="manhattan"), "Unknown metric: 'manhattan'"),
        (dict(protocol="own"), "Unknown protocol: 'own'"),
        (dict(protocol=("standard", "own")), "Unknown protocol: 'own'"),
        (dict(protocol=()), "at least one protocol"),
        (dict(ranks=(1, 99)), "between 1 and the 8 items"),
        (dict(query_labels=[0, 5]), r"labels \[5\] are not in the database"),
        (dict(query_labels=[0]), "2 query features but 1 labels"),
        (dict(database=np.ones((8, 3))), r"\(2, 2\) and \(8, 3\)"),
        (
            dict(protocol="reference", query_batch=9),
            "at most the 8 database items",
        ),
        (
            dict(protocol=("standard", "reference"), query_batch=9),
            "at most the 8 database items",
        ),
    ],
)
def test_errors(change, message):
    arguments = dict(
        queries=np.ones((2, 2)),
        query_labels=[0, 1],
        database=np.ones((8, 2)),
        database_labels=[0, 1] * 4,
        ranks=(1,),
        query_batch=4,
    )
    with pytest.raises(UserError, match=message):
        evaluation.retrieval(**{**arguments, **change})
