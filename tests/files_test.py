import logging
import threading

import pytest

from indistill_tf import files


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
