"""How processes end that are told to."""

import os
import signal
import subprocess
import sys

import pytest

from indistill_tf import models
from indistill_tf.training import snapshots
from indistill_tf_tools import terminal

from .conftest import SMALL


@pytest.fixture
def handlers():
    """Puts what signals do back in place."""
    kinds = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(kind) for kind in kinds]
    # Where tests run in the background, a shell has let SIGINT be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for kind, handler in zip(kinds, before, strict=True):
        signal.signal(kind, handler)


# TensorFlow's C++ side raises an exception of its own for ours.
@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("raised_anew", [False, True])
def test_the_status_says_which_signal_came(capsys, kind, raised_anew):
    with pytest.raises(SystemExit) as end, terminal.ending_in_a_line():
        try:
            os.kill(os.getpid(), kind)
        except KeyboardInterrupt:
            if raised_anew:
                raise KeyboardInterrupt from None
            raise
    assert end.value.code == 128 + kind
    assert capsys.readouterr().err.startswith(f"Interrupted by {kind.name}. ")


def test_the_status_of_a_signal_within_an_import(tmp_path):
    # Imports run texts: those of dataclasses, for one.
    (tmp_path / "module.py").write_text(
        "from indistill_tf_tools import terminal\n"
        "with terminal.ending_in_a_line():\n"
        "    exec('import os; os.kill(os.getpid(), 15)')\n"
    )
    command = [sys.executable, "-m", "module"]
    process = subprocess.run(command, cwd=tmp_path)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_a_line(tool, tmp_path, kind):
    teacher, folder = tmp_path / "teacher.keras", tmp_path / "run"
    models.build("cnn_a", (32, 32, 1), 10).save(teacher)
    command = [f"--teacher={teacher}", "--student=cnn_s", "--method=okd"]
    command += [f"--work_dir={folder}", "--epochs=999", "--max_steps=9999"]
    process = tool("distill", *command, *SMALL, start_only=True)
    while not snapshots.found(folder):
        assert process.poll() is None
    process.send_signal(kind)
    output, errors = process.communicate()
    assert process.returncode == 128 + kind
    assert errors == (
        f"Interrupted by {kind.name}. The same command goes on where it "
        "stopped.\n"
    )
    assert "student: training, epochs 1 to 999" in output
    assert len(snapshots.whole(folder)) >= 1
