import itertools

import pytest

from indistill_tf_tools import benchmarks
from indistill_tf_tools.benchmarks.paired import scheduled


def test_rates_and_ratios_by_hand():
    # Per run: start and end. Ours takes 1, 2, 4 seconds, the plain one 2 each.
    seconds = iter([0, 1, 0, 2, 0, 2, 0, 2, 0, 4, 0, 2])
    work = itertools.cycle([0, 1, 0, 4])
    calls = []
    found = benchmarks.paired(
        lambda: calls.append("ours"),
        lambda: calls.append("plain"),
        amount=8,
        repeats=3,
        clock=lambda: next(seconds),
        processor=lambda: next(work),
    )
    assert calls == ["ours", "plain"] * 4
    assert found["ours"] == {"median": 4, "lowest": 2, "highest": 8}
    assert found["plain"] == {"median": 4, "lowest": 4, "highest": 4}
    assert found["ratio"] == {"median": 1, "lowest": 0.5, "highest": 2}
    assert found["work_ratio"]["median"] == 4
    assert found["amount"] == 8 and found["repeats"] == 3


def test_a_schedule_adds_up_seconds_by_hand():
    def row(ours, plain):
        names = ("median", "lowest", "highest")
        return {
            "ours": dict(zip(names, ours)),
            "plain": dict(zip(names, plain)),
        }

    rows = [row((4, 2, 8), (2, 1, 4)), row((1, 1, 2), (1, 0.5, 2))]
    found = scheduled(rows, [4, 2])
    # Six epochs in 4/4 + 2/1 seconds, 4/2 + 2/1, 4/8 + 2/2.
    assert found["ours"] == {"median": 2, "lowest": 1.5, "highest": 4}
    # And in 4/2 + 2/1, 4/1 + 2/0.5, 4/4 + 2/2.
    assert found["plain"] == {"median": 1.5, "lowest": 0.75, "highest": 3}
    assert found["ratio"] == pytest.approx(
        {"median": 2 / 1.5, "lowest": 0.5, "highest": 4 / 0.75}
    )


def test_jpeg_measures_both_pipelines(tmp_path):
    from indistill_tf_tools import stand_ins

    stand_ins.write_tiny("imagenet2012", tmp_path, train=9, test=1)
    (found,) = benchmarks.jpeg(tmp_path, repeats=1, images=8).values()
    assert found["amount"] == 8
    # A core decodes some hundred images a second, never a hundred thousand.
    assert 1 < found["ours"]["median"] < 100_000
    assert found["ratio"]["median"] == pytest.approx(
        found["ours"]["median"] / found["plain"]["median"]
    )
