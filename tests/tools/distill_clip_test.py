import json
import os
import signal
import time

import numpy as np
import pytest

from indistill_tf import data
from indistill_tf import models

SMALL = [
    "--train_split=train[:60]",
    "--test_split=test[:30]",
    "--teacher_image=cnn_s",
    "--teacher_text=text_32",
    "--embedding_size=16",
    "--teacher_epochs=1",
    "--student_image=cnn_s",
    "--student_text=text_32",
    "--modules=1",
    "--module_epochs=1",
    "--epochs=2",
    "--batch_size=20",
    "--context_length=16",
]


@pytest.mark.long
def test_run(tool, tmp_path):
    command = [*SMALL, f"--work_dir={tmp_path}"]
    output = tool("distill_clip", *command).stdout
    assert "student (cnn_s + text_32)" in output
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["seed"] == 0
    assert "tokenizers" in result["versions"]
    image, text = (
        models.load_model(tmp_path / f"{name}_model.keras")
        for name in ("image", "text")
    )
    tokenizer = data.Tokenizer.from_file(tmp_path / "tokenizer.json")
    texts = text.predict(tokenizer(["a dark bag"], 16), verbose=0)
    images = image.predict(np.zeros((1, 32, 32, 1)), verbose=0)
    assert texts.shape == images.shape == (1, 16)


@pytest.mark.slow
def test_killed_resumed_and_repeated(tool, tmp_path):
    command = [*SMALL, f"--work_dir={tmp_path}"]
    process = tool("distill_clip", *command, start_only=True)
    deadline = time.time() + 300
    while not (tmp_path / "modules").exists() and process.poll() is None:
        assert time.time() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "result.json").exists()
    output = tool("distill_clip", *command).stdout
    assert "teacher: finished before, not trained again" in output
    before = (tmp_path / "result.json").stat().st_mtime_ns
    again = tool("distill_clip", *command).stdout
    assert "student: finished before, not trained again" in again
    assert (tmp_path / "result.json").stat().st_mtime_ns == before


def test_one_line_errors(tool, tmp_path):
    for flag, message in (
        ("--trade_offs=x", "error: --trade_offs takes numbers, such as"),
        ("--tokenizer=no.json", "error: no.json is no readable tokenizer.json"),
    ):
        process = tool(
            "distill_clip", *SMALL, flag, f"--work_dir={tmp_path}", check=False
        )
        assert process.returncode == 1
        assert process.stderr.startswith(message)
        assert process.stderr.count("\n") == 1
    assert not (tmp_path / "flags.txt").exists()
