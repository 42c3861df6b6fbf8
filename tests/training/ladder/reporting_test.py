import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import comparison
from indistill_tf.training.ladder import reporting


def test_rungs_over_seeds(ladder_record):
    ladders = {
        "a": ladder_record(0, student=0.5, control=0.5),
        "b": ladder_record(1, student=0.5, control=0.6),
    }
    found = reporting.results(ladders)
    assert list(found) == ["student", "a/control_seed0", "b/control_seed1"]
    text = comparison.comparison(found, reference="student")
    # Nothing trained the student on: two ladders measured one file.
    assert "| student | 1 | 50.00 |" in text
    assert "| control | 2 | 55.00 ± 7.07 | +5.00 |" in text
    assert "| P@10 | n |" in text


def test_ladders_of_other_students(ladder_record):
    ladders = {
        "a": ladder_record(0, student=0.5, control=0.5),
        "b": ladder_record(1, student=0.4, control=0.5),
    }
    with pytest.raises(UserError, match="Two runs have the name 'student'"):
        comparison.comparison(reporting.results(ladders))
    ladders["b"] = ladder_record(0, student=0.5, control=0.5)
    with pytest.raises(UserError, match="the name 'control_seed0'"):
        comparison.comparison(reporting.results(ladders))


def test_read(tmp_path):
    assert reporting.read(tmp_path) is None
    (tmp_path / "ladder.json").write_text("{")
    with pytest.raises(UserError, match="ladder.json is missing or no JSON"):
        reporting.read(tmp_path)
