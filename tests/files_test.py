import logging
import os
import pathlib
import resource
import socket
import threading

import pytest

from indistill_tf import files
from indistill_tf.errors import UserError


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError
    assert path.read_text() == "old"


def test_a_whole_file_takes_the_old_ones_place(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with files.replacing(path) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(params=["device", "pipe", "socket", "link"])
def special(request, tmp_path):
    """Something that is neither a file nor a folder."""
    path = tmp_path / "special"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(path))
    elif request.param == "link":
        path.symlink_to("/dev/null")
    return path if request.param != "device" else pathlib.Path("/dev/full")


@pytest.mark.parametrize(
    "write", [files.replacing, files.replacing_folder, files.waiting_lock]
)
def test_what_is_no_file_is_never_replaced(special, write):
    before = os.stat(special)
    with pytest.raises(UserError, match="is a .*files and folders only"):
        with write(special):
            pytest.fail("it was let in")
    assert os.stat(special) == before


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path):
    with pytest.raises(UserError, match="is a folder. Name a file"):
        with files.replacing(tmp_path):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file. Name a folder"):
        with files.replacing_folder(tmp_path / "file"):
            pass


def test_a_link_to_a_file_may_be_replaced(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    with files.replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").read_text() == "new"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with files.replacing_folder(path) as temporary:
            (temporary / name).write_text(name)
        assert [file.name for file in path.iterdir()] == [name]
    with pytest.raises(RuntimeError):
        with files.replacing_folder(path) as temporary:
            (temporary / "half").touch()
            raise RuntimeError
    assert [file.name for file in tmp_path.rglob("*")] == ["folder", "new"]


@pytest.mark.parametrize("limit", [0, 100])
def test_where_nothing_more_can_be_written(tmp_path, limit):
    path = tmp_path / "a.json"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        message = "a.json cannot be written .File too large.* is whole"
        with pytest.raises(UserError, match=message):
            with files.replacing(path) as temporary:
                temporary.write_text("new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="cannot be written .No such file"):
        with files.replacing(tmp_path / "none" / "a.json") as temporary:
            temporary.write_text("new")


def test_the_second_waits_for_the_first(tmp_path, caplog):
    events = []

    def second():
        with files.waiting_lock(tmp_path / ".lock"):
            events.append("second")

    thread = threading.Thread(target=second)
    with caplog.at_level(logging.INFO, "indistill_tf"):
        with files.waiting_lock(tmp_path / ".lock"):
            thread.start()
            while not caplog.records:
                thread.join(0.01)
                assert thread.is_alive()
            events.append("first")
        thread.join()
    assert events == ["first", "second"]
    assert "waiting for it" in caplog.text


def test_the_second_is_refused(tmp_path):
    with files.refusing_lock(tmp_path / ".lock", RuntimeError("held")):
        with pytest.raises(RuntimeError, match="held"):
            with files.refusing_lock(tmp_path / ".lock", RuntimeError("held")):
                pass
    with files.refusing_lock(tmp_path / ".lock", RuntimeError("held")):
        pass
