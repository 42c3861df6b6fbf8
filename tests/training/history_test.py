import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import history


def test_history_keeps_blanks_out(tmp_path):
    rows = [
        {"epoch": 0, "loss": 0.5, "loss/tap_1": 0.25},
        {"epoch": 1, "loss": 0.125, "loss/task": 1e-7},
    ]
    history.write_history(tmp_path, rows)
    assert history.read_history(tmp_path) == rows
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header == "epoch,loss,loss/tap_1,loss/task"


@pytest.mark.parametrize(
    "text",
    ["epoch,loss\n0,1.5,7\n", "epich,loss\n0,1.5\n", "epoch,loss\n0,1.x\n"],
)
def test_damage_is_named(tmp_path, text):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(UserError, match="history.csv is damaged .* copy"):
        history.read_history(tmp_path)


def test_without_a_file_there_are_no_rows(tmp_path):
    assert history.read_history(tmp_path) == []
