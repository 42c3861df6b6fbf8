import pytest

from indistill_tf import models
from indistill_tf_tools import benchmarks
from indistill_tf_tools.benchmarks import tables
from indistill_tf_tools.benchmarks import training_cost
from indistill_tf_tools.benchmarks.growth import exponent

RATE = {"median": 2.0, "lowest": 1.0, "highest": 4.0}


def test_exponents_by_hand():
    assert exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)
    assert exponent([10, 1000], [5.0, 5.0]) == pytest.approx(0)


def test_table():
    rows = {"one": {"ratio": RATE, "sizes": [1, 2]}, "two": {"ms": 0.5}}
    lines = tables.table("case", rows).splitlines()
    assert lines[0].split() == ["case", "ratio", "sizes", "ms"]
    assert lines[2].split() == "one 2 (1 to 4) 1, 2".split()
    assert lines[3].split() == ["two", "0.5"]


def test_hops_add_up_to_methods():
    macs = {
        "teacher -> student": 5,
        "teacher -> assistant": 6,
        "assistant -> student": 3,
        "both -> student": 7,
        "modules -> student": 5.5,
        "embedding": 4,
        "modules": 0.5,
    }
    seconds = dict.fromkeys(macs, 0.036)
    rows = training_cost.summary(macs, [seconds, seconds])
    # 70 epochs of 50,000 images, and 10 of modules behind one of embedding.
    assert rows["KD"]["tera_macs"] == pytest.approx(5 * 70 * 5e4 / 1e12)
    over = {name: row["macs over KD"] for name, row in rows.items()}
    assert over == pytest.approx(
        {"KD": 1, "TAKD": 9 / 5, "DGKD": 13 / 5, "CIFD": 394 / 350}
    )
    assert rows["KD"]["hours"] == pytest.approx(35)
    hours = rows["CIFD"]["hours over KD"]
    assert hours["lowest"] == hours["highest"] == pytest.approx(81 / 70)
    assert rows["TAKD"]["before the student"] == pytest.approx(0.5)
    assert rows["CIFD"]["before the student"] == pytest.approx(11 / 81)


def test_plot(tmp_path):
    results = {"case": {"row": {"ratio": RATE}, "none": {"ms": 1.0}}}
    tables.plot_ratios(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_profile_names_the_dearest_operations(tmp_path):
    found = benchmarks.profile(tmp_path, count=2)
    milliseconds = [value for _, value in found]
    assert milliseconds == sorted(milliseconds, reverse=True)
    assert milliseconds[0] > 0
    assert any("Conv2D" in name for name, _ in found[:10])


@pytest.mark.slow
def test_stages_are_not_the_same_step():
    rows = benchmarks.steps(repeats=1, count=3)
    assert len(rows) == 2 * (4 + 1)
    first = rows["stage 1 / plain loop"]["ours"]["median"]
    last = rows["stage 4 / plain loop"]["ours"]["median"]
    # It computes a fifth of the last stage's operations.
    assert first > 1.5 * last


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("fit", {"count": 5}),
        ("levers", {"count": 2}),
        ("pipeline", {"images": 1000}),
        ("cache", {"images": 256}),
    ],
)
def test_paired_cases(case, options):
    for row in benchmarks.CASES[case](repeats=1, **options).values():
        assert row["ratio"]["median"] == pytest.approx(
            row["ours"]["median"] / row["plain"]["median"]
        )


@pytest.mark.slow
def test_roofline():
    rows = benchmarks.roofline(repeats=1, count=2)
    assert list(rows) == ["machine", *(f"stage {i}" for i in range(1, 5))]
    # Of stage 1, the convolutions alone: 5 x 5 x 3 x 8 multiplications for
    # each of 28 x 28 pixels, of both networks and back through the student's.
    assert rows["stage 1"]["gflop"] > 0.05
    assert rows["stage 1"]["gflop"] < rows["stage 4"]["gflop"]
    for number in range(1, 5):
        row = rows[f"stage {number}"]
        kinds = ("convolutions", "normalisation", "pooling", "other")
        assert sum(row[kind][1] for kind in kinds) == pytest.approx(
            row["limit_ms"]
        )
        assert all(row[kind][0] > 0 for kind in kinds)


@pytest.mark.slow
def test_deployment():
    rows = benchmarks.deployment(repeats=2, calls=3, teacher="cnn_a")
    kinds = ("float32", "fp16", "int8")
    names = ["cnn_a, float32", *(f"cnn_s, {kind}" for kind in kinds)]
    assert list(rows) == names
    assert rows["cnn_a, float32"]["ratio"]["median"] == 1
    for row in rows.values():
        assert 0 < row["milliseconds"]["median"] < 1000
    sizes = [row["bytes"] for row in rows.values()]
    assert sizes == sorted(sizes, reverse=True)


def test_checkpoint():
    (row,) = benchmarks.checkpoint(
        repeats=2, network="cnn_s", pixels=32
    ).values()
    # Weights and their momentum, 4 bytes each; of the rest HDF5's own.
    numbers = models.build("cnn_s", (32, 32, 3), 1000).count_params()
    assert 8 * numbers < 1e6 * row["Mbyte"] < 12 * numbers
    assert row["s to write"]["median"] > 0 and row["s to read"]["median"] > 0


@pytest.mark.slow
def test_growth():
    rows = benchmarks.growth(repeats=1)
    assert rows["batch"]["sizes"] == [32, 64, 128, 256, 512]
    assert 0 < rows["batch"]["exponent"] < 2


@pytest.mark.long
def test_each_stage_is_traced_once():
    shape, classes = (32, 32, 3), 10
    rows = benchmarks.compile(
        networks=lambda: (
            models.build("cnn_a", shape, classes),
            models.build("cnn_s", shape, classes),
        )
    )
    stages = [f"indistill, stage {number}" for number in (1, 2, 3, 4)]
    assert list(rows) == [*stages, "okd, stage 1"]
    for row in rows.values():
        assert row["traces"] == 1
        parts = row["views"] + row["trace"] + row["rest"]
        assert parts == pytest.approx(row["total"])
