import os
import shutil

import pytest

from indistill_tf.training import flag_record


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A run in a folder of its own, with a file and a folder of data."""
    start = tmp_path / "start"
    (start / "data").mkdir(parents=True)
    (start / "w.npz").write_bytes(b"weights")
    (start / "run").mkdir()
    monkeypatch.chdir(start)
    flag_record.write("run", flags("w.npz", "data"))
    return start


def flags(weights, data, modules="w.npz", work_dir="run"):
    return (
        f"--data_dir={data}\n--epochs=5\n--options=a=1,modules={modules}\n"
        f"--teacher_weights={weights}\n--work_dir={work_dir}\n"
    )


def changes(folder, text):
    return flag_record.changes(folder / "flags.txt", text)


def test_where_a_run_lies_is_no_part_of_it(begun, tmp_path):
    shutil.move(begun / "run", tmp_path / "moved")
    text = flags("w.npz", "data", work_dir=tmp_path / "moved")
    assert changes(tmp_path / "moved", text) == []


def test_paths_of_one_file(begun, tmp_path, monkeypatch):
    run = begun / "run"
    absolute = flags(begun / "w.npz", begun / "data", begun / "w.npz")
    assert changes(run, absolute) == []
    assert changes(run, flags("./w.npz", "data/../data", "run/../w.npz")) == []
    # Seen from another folder, what was relative is where it was.
    monkeypatch.chdir(tmp_path)
    assert changes(run, absolute) == []
    os.symlink(begun / "data", "link")
    assert changes(run, flags("start/w.npz", "link", "start/w.npz")) == []


def test_a_copy_of_a_file(begun, tmp_path):
    shutil.move("w.npz", "moved.npz")
    run = begun / "run"
    assert changes(run, flags("moved.npz", "data", "moved.npz")) == []


def test_another_file(begun):
    (begun / "other.npz").write_bytes(b"others")
    found = changes(begun / "run", flags("other.npz", "data"))
    assert found == [
        "- --teacher_weights=w.npz",
        "+ --teacher_weights=other.npz",
    ]


def test_another_content(begun):
    (begun / "w.npz").write_bytes(b"others")
    found = changes(begun / "run", flags("w.npz", "data"))
    assert found[-2:] == [
        "- --teacher_weights=w.npz (of before)",
        "+ --teacher_weights=w.npz",
    ]


def test_another_folder(begun):
    (begun / "other").mkdir()
    found = changes(begun / "run", flags("w.npz", "other"))
    assert found == ["- --data_dir=data", "+ --data_dir=other"]


def test_booleans(tmp_path):
    (tmp_path / "flags.txt").write_text("--flip\n")
    assert changes(tmp_path, "--noflip\n") == ["- --flip", "+ --noflip"]
    assert changes(tmp_path, "--flip\n") == []


def test_flags_without_the_note(begun):
    assert flag_record.read("run") == flags("w.npz", "data")
    assert flag_record.read("data") == ""


def test_damage_differs(begun):
    path = begun / "run" / "flags.txt"
    path.write_bytes(path.read_bytes().replace(b"=5", b"\xff5"))
    assert changes(begun / "run", flags("w.npz", "data"))
