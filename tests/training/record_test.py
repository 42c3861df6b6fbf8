import re

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
    text = (tmp_path / "flags.txt").read_text()
    assert text == "--epochs=5\n# paths: {}\n"


DEFAULTS = "--decay=0.1\n--epochs=9\n--noflip\n"


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        # A later version has more flags, and nobody has changed them.
        ("--decay=0.1\n--epochs=5\n--noflip\n", None),
        # Its new flag was changed.
        ("--decay=0.2\n--epochs=5\n", "+ --decay=0.2; -"),
        # A flag that the directory has was changed to the default.
        ("--decay=0.1\n--epochs=9\n", "- --epochs=5 + --epochs=9; -"),
    ],
)
def test_flags_that_the_directory_does_not_know(tmp_path, now, changes):
    (tmp_path / "flags.txt").write_text("--epochs=5\n")
    message = f"other flags ({changes}" if changes else "no such model"
    with pytest.raises(UserError, match=re.escape(message)):
        recorded_run(tmp_path, now, refuse, DEFAULTS)


def test_boolean_changed_to_its_default(tmp_path):
    (tmp_path / "flags.txt").write_text("--flip\n")
    with pytest.raises(UserError, match="flags .- --flip . --noflip;"):
        recorded_run(tmp_path, "--noflip\n", refuse, DEFAULTS)


def test_result_of_a_damaged_run(tmp_path):
    (tmp_path / "result.json").write_text("{")

    def read(folder):
        from indistill_tf.training import export_run

        return export_run(folder, folder / "saved_model")

    with pytest.raises(UserError, match="missing or no JSON"):
        recorded_run(tmp_path, "", read)
