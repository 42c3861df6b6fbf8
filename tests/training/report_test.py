import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import report

SCORES = {
    "accuracy": 0.5,
    "retrieval": {"cosine": {"standard": {"map": 0.25, "p@10": 0.75}}},
    "parameters": 14_906,
    "file_bytes": 2048,
    "latency_ms": 1.5,
}


def result(**cost):
    return {
        "model": "cnn_s",
        "scores": SCORES,
        "images": {"name": "mine", "train": 20, "test": 10},
        **cost,
    }


def test_columns():
    cost = {
        "seconds_per_epoch": 2.5,
        "seconds_per_step": 0.1254,
        "peak_memory_bytes": 1_234_400_000,
    }
    lines = report.table({"student": result(**cost)}).splitlines()
    header = (
        "accuracy mAP P@10 s/epoch s/step peak MB parameters file KB latency ms"
    )
    assert lines[0].split() == header.split()
    values = "student (cnn_s) 50.00 25.00 75.00 2.50 0.125 1234 14,906 2 1.50"
    assert lines[2].split() == values.split()
    # Numbers end where their names do.
    for name, value in (("s/step", "0.125"), ("peak MB", "1234")):
        end = lines[0].index(name) + len(name)
        assert lines[2][:end].endswith(f" {value}")


def test_a_rank_that_was_not_measured():
    with pytest.raises(UserError, match="at 7 was not measured, but: p@10."):
        report.table({"student": result()}, rank=7)


def test_what_was_not_trained_has_no_cost():
    lines = report.table({"model": result()}).splitlines()
    values = "model (cnn_s) 50.00 25.00 75.00 14,906 2 1.50"
    assert lines[2].split() == values.split()


def test_information_flow_where_there_is_a_teacher():
    taught = result(seconds_per_epoch=2.5)
    flow = {"information_flow": {"mean": 0.001, "sum": 0.02067}}
    taught["scores"] = {**SCORES, **flow}
    lines = report.table({"alone": result(), "taught": taught}).splitlines()
    assert lines[0].split()[:5] == "accuracy mAP P@10 L_MI s/epoch".split()
    values = "alone (cnn_s) 50.00 25.00 75.00 14,906 2 1.50"
    assert lines[2].split() == values.split()
    values = "taught (cnn_s) 50.00 25.00 75.00 0.0207 2.50 14,906 2 1.50"
    assert lines[3].split() == values.split()
    assert "L_MI: divergence of information flow" in lines[-1]


def test_a_run_recorded_before_steps_were_counted():
    lines = report.table({"model": result(seconds_per_epoch=2.5)}).splitlines()
    values = "model (cnn_s) 50.00 25.00 75.00 2.50 14,906 2 1.50"
    assert lines[2].split() == values.split()


def test_networks_of_a_run(tmp_path):
    names = ["student_by_closed_form", "modules", "auxiliary", "teacher"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").touch()
    # Not finished, or no network.
    (tmp_path / "student_alone").mkdir()
    found = report.networks(tmp_path)
    assert [*found.items()] == [
        ("teacher", tmp_path / "teacher"),
        ("auxiliary", tmp_path / "auxiliary"),
        ("student_by_closed_form", tmp_path / "student_by_closed_form"),
        ("student", tmp_path),
    ]
