"""How processes end that are told to."""

import signal

import pytest

from indistill_tf import models
from indistill_tf.training import snapshots

from .conftest import SMALL


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
