"""Runs of a sweep as processes: order, failures, logs, their end."""

import os
import signal
import subprocess
import sys

import pytest

from indistill_tf_tools import local_runs
from indistill_tf_tools.local_runs import LocalRuns
from indistill_tf_tools.sweep_file import Row

from .conftest import ROOT

# It answers at once, without TensorFlow.
GOOD = Row("good", "train", ("--help",))
BAD = Row("bad", "train", ("--epochs=many",))


@pytest.mark.parametrize("jobs", [1, 3])
def test_failures_and_those_that_need_them(tmp_path, capfd, jobs):
    rows = [
        BAD,
        Row("child", "train", ("--help",), ("bad",)),
        Row("grandchild", "train", ("--help",), ("old", "child")),
        GOOD,
        Row("after", "train", ("--help",), ("good", "old")),
    ]
    failures = LocalRuns(rows, tmp_path, jobs, {"old"}).run()
    assert failures.pop("bad").startswith("flag --epochs=many: invalid")
    assert failures == {
        "child": "needs bad, which failed.",
        "grandchild": "needs child, which failed.",
    }
    output = capfd.readouterr().out
    lines = [line for line in output.splitlines() if line.startswith("[")]
    assert [line[:6] for line in lines] == [f"[{i}/5] " for i in range(1, 6)]
    failed = [line.split()[1] for line in lines if " failed: " in line]
    assert failed == ["bad", "child", "grandchild"]
    assert " about " not in lines[-1]
    # A single one speaks on the terminal.
    logs = [(tmp_path / x / "log.txt").read_text() for x in ("good", "after")]
    said = "Trains a network from labels"
    assert [said in text for text in (*logs, output)] == [
        *(jobs > 1, jobs > 1, jobs == 1)
    ]
    assert not (tmp_path / "child").exists()


def test_what_a_run_said_before_is_not_its_error(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "log.txt").write_text("of before\n")
    failures = LocalRuns([BAD], tmp_path, 2, ()).run()
    assert "of before" not in failures["bad"]
    text = (tmp_path / "bad" / "log.txt").read_text()
    assert text.startswith("of before\nerror: flag --epochs=many")


def test_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr(local_runs.os, "cpu_count", lambda: 8)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    environment = local_runs.environment(3)
    assert environment["TF_NUM_INTRAOP_THREADS"] == "2"
    assert environment["OMP_NUM_THREADS"] == "5"
    assert local_runs.environment(9)["TF_NUM_INTRAOP_THREADS"] == "1"
    assert "TF_NUM_INTRAOP_THREADS" not in local_runs.environment(1)


_PARENT = """
import os, pathlib, sys, time
from indistill_tf_tools.child import Child
folder = pathlib.Path(sys.argv[1])
arguments = ["train", "--model=cnn_s", f"--work_dir={folder}"]
child = Child(arguments, folder, dict(os.environ), on_terminal=True)
print("started", flush=True)
time.sleep(600)
"""


def test_a_child_ends_when_its_parent_is_killed(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout.readline() == "started\n"
    os.kill(parent.pid, signal.SIGKILL)
    # The pipe ends when nobody is left who could write to it.
    parent.communicate()
    assert not (tmp_path / "result.json").exists()


def test_children_are_killed_on_the_way_out(tmp_path, monkeypatch):
    rows = [Row(name, "train", ("--model=cnn_s",)) for name in "ab"]
    runs = LocalRuns(rows, tmp_path, 2, ())
    started = []

    def interrupted(seconds):
        monkeypatch.undo()
        started.extend(runs._running.values())
        raise KeyboardInterrupt

    monkeypatch.setattr(local_runs.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runs.run()
    statuses = [child._process.returncode for child in started]
    # The one as of Python, which has just begun, the other as of the tool.
    assert set(statuses) <= {-signal.SIGTERM, 128 + signal.SIGTERM}
