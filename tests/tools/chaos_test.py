"""A run whose workers are killed ends as an undisturbed one."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_same_weights_after_kills(tmp_path):
    command = [
        *("distill", "--teacher=resnet8", "--student=cnn_s", "--method=okd"),
        *("--teacher_epochs=2", "--epochs=3", "--drop_epochs="),
        *("--train_split=train[:256]", "--test_split=test[:33]"),
        *("--batch_size=64", "--worker_timeout=600"),
    ]
    own = [f"--folder={tmp_path}", "--kills=3", "--seed=1"]
    process = subprocess.run(
        [sys.executable, "tools/chaos.py", *own, "--", *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "undisturbed: 2 networks" in process.stdout
    assert re.search(
        r"After 3 kills in \d runs the same SHA-256: ., teacher\n$",
        process.stdout,
    )
