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


def test_a_student_a_seed(ladder_record):
    ladders = {
        "a": ladder_record(0, student=0.5, control=0.5),
        "b": ladder_record(1, student=0.4, control=0.5),
    }
    found = reporting.results(ladders)
    assert list(found)[:2] == ["a/student_seed0", "b/student_seed1"]
    text = comparison.comparison(found)
    assert "| student | 2 | 45.00 ± 7.07 |" in text


@pytest.mark.parametrize(
    ("student", "name"), [(0.5, "control_seed0"), (0.4, "student_seed0")]
)
def test_two_ladders_of_one_seed(ladder_record, student, name):
    ladders = {
        "a": ladder_record(0, student=0.5, control=0.5),
        "b": ladder_record(0, student=student, control=0.5),
    }
    with pytest.raises(UserError, match=f"the name '{name}'"):
        comparison.comparison(reporting.results(ladders))


def test_read(tmp_path):
    assert reporting.read(tmp_path) is None
    (tmp_path / "ladder.json").write_text("{")
    with pytest.raises(UserError, match="ladder.json is missing or no JSON"):
        reporting.read(tmp_path)
