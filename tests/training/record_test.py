import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import recorded_run


def refuse(folder):
    raise UserError("no such model")


def refuse_later(folder):
    (folder / "teacher").mkdir()
    raise UserError("no such file")


def test_refused_request_can_be_corrected_in_place(tmp_path):
    for flags in ("--student=cnn_x\n", "--student=cnn_y\n"):
        with pytest.raises(UserError, match="no such model"):
            recorded_run(tmp_path, flags, refuse)


def test_begun_run_keeps_its_flags(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        recorded_run(tmp_path, "--epochs=5\n", refuse_later)
    with pytest.raises(UserError, match="other flags .- --epochs=5 . --epochs"):
        recorded_run(tmp_path, "--epochs=6\n", refuse)
    assert (tmp_path / "flags.txt").read_text() == "--epochs=5\n"


def test_result_of_a_damaged_run(tmp_path):
    (tmp_path / "result.json").write_text("{")

    def read(folder):
        from indistill_tf.training import export_run

        return export_run(folder, folder / "saved_model")

    with pytest.raises(UserError, match="missing or no JSON"):
        recorded_run(tmp_path, "", read)
