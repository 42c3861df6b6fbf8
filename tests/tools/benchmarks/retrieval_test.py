import builtins

import pytest

from indistill_tf.errors import UserError
from indistill_tf_tools import benchmarks


@pytest.mark.parametrize("protocol", ["reference", "standard"])
def test_both_ways_rank_alike(protocol):
    pytest.importorskip("sklearn")
    found = benchmarks.retrieval(
        repeats=1, queries=300, items=2000, protocols=[protocol]
    )[protocol]
    # 10 classes: 10 points by chance, 100 if classes were apart.
    assert 20 < found["map_ours"] < 90
    assert found["map_ours"] == pytest.approx(found["map_plain"], abs=1e-4)
    assert found["map_difference"] == abs(
        found["map_ours"] - found["map_plain"]
    )
    assert found["amount"] == 300
    assert found["peak_mbyte"] is None or found["peak_mbyte"] < 1024
    assert found["ratio"]["median"] == pytest.approx(
        found["ours"]["median"] / found["plain"]["median"]
    )


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"indistill_tf\[benchmark\]"):
        benchmarks.retrieval(repeats=1, queries=2, items=9)


def test_ranking_is_measured_against_product_and_sort():
    row = benchmarks.ranking(repeats=1, queries=30, items=500)["both protocols"]
    assert row["amount"] == 30
    assert row["ratio"]["median"] == pytest.approx(
        row["ours"]["median"] / row["plain"]["median"]
    )
