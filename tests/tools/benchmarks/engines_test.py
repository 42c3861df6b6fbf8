import sys

import pytest

from indistill_tf_tools import benchmarks


@pytest.mark.parametrize("engine", ["faiss", "pytorch_metric_learning"])
def test_engines_find_the_same(engine):
    pytest.importorskip(engine)
    row = benchmarks.engines(repeats=1, queries=100, items=1000)[engine]
    # They compare in float32, so a pair of ranks may be the other way round.
    assert row["map_difference"] < 1e-3
    assert row["amount"] == 100


def test_a_million_made_small():
    pytest.importorskip("faiss")
    rows = benchmarks.million(queries=50, items=20_000)
    assert rows["exact"]["seconds"] > 0
    # It looks at a sixteenth of the cells.
    assert 1 / 16 < rows["faiss IVF"]["recall@100"] <= 1
    # 20 items of each of 1,000 classes: less than a fifth can be relevant.
    assert 0 < rows["faiss IVF"]["p@100"] <= 0.2
    assert 0 < rows["exact"]["p@100"] <= 0.2


def test_what_is_missing_is_said_in_a_row(monkeypatch):
    for name in ("faiss", "pytorch_metric_learning"):
        monkeypatch.setitem(sys.modules, name, None)
    rows = benchmarks.engines(repeats=1, queries=2, items=9)
    assert rows["faiss"] == {
        "skipped": "faiss is missing: pip install 'indistill_tf[benchmark]'"
    }
    assert list(rows["pytorch_metric_learning"]) == ["skipped"]
