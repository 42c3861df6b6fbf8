import json
import os
import signal
import time

import pytest

from .conftest import SMALL


def test_output_and_record(distilled):
    _, folder, output = distilled
    assert "teacher (cnn_a)" in output
    assert "auxiliary (auxiliary, pkt)" in output
    assert "student_alone (cnn_s)" in output
    assert "student (cnn_s, indistill)" in output
    assert f"SavedModel: {folder}/saved_model" in output
    files = {path.name for path in folder.iterdir()}
    assert files >= {
        "flags.txt",
        "history.csv",
        "logs",
        "loss.png",
        "result.json",
        "saved_model",
        "student.keras",
        "teacher",
    }
    result = json.loads((folder / "result.json").read_text())
    assert result["scores"]["parameters"] == 14_906
    assert result["seed"] == 0
    assert "--student=cnn_s" in (folder / "flags.txt").read_text()


def test_finished_run_says_so_and_does_nothing(tool, distilled):
    command, folder, _ = distilled
    before = {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    process = tool("distill", *command, f"--work_dir={folder}")
    assert "is finished; nothing is left to do" in process.stdout
    assert "student (cnn_s, indistill)" in process.stdout
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before


def test_other_flags_on_the_same_directory(tool, distilled):
    command, folder, _ = distilled
    process = tool(
        "distill",
        *command,
        f"--work_dir={folder}",
        "--epochs=6",
        check=False,
    )
    assert process.returncode == 1
    assert "holds a run with other flags (- --epochs=5 + --epochs=6" in (
        process.stderr
    )


@pytest.mark.slow
def test_two_students_share_a_teacher_cache(tool, distilled, tmp_path):
    _, folder, _ = distilled
    command = [
        f"--teacher={folder}/teacher/student.keras",
        "--epochs=4",
        "--a=1",
        "--b=0",
        "--teacher_cache_views=2",
        f"--teacher_cache={tmp_path}/cache",
        *SMALL,
    ]
    students = {"cnn_s": 0, "cnn_a": 1}
    outputs = [
        tool(
            "distill",
            *command,
            f"--student={student}",
            f"--seed={seed}",
            f"--work_dir={tmp_path}/{student}",
        ).stdout
        for student, seed in students.items()
    ]
    # 400 images in two views, two bytes a value: three pruned maps and an
    # embedding of 128; then, but for the embedding, maps of twice the width.
    maps = 15 * 15 * 8 + 6 * 6 * 16 + 2 * 2 * 32
    sizes = [(maps + 128) * 1600 / 1e6, 2 * maps * 1600 / 1e6]
    for output, size in zip(outputs, sizes):
        assert f"computing {size:.2f} MB of targets" in output
    result = json.loads((tmp_path / "cnn_s" / "result.json").read_text())
    assert result["teacher_cache_views"] == 2


def test_flags_of_the_record_repeat_the_run(tool, distilled):
    _, folder, _ = distilled
    process = tool("distill", f"--flagfile={folder}/flags.txt")
    assert "is finished" in process.stdout


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("teacher/history.csv", marks=pytest.mark.slow),
        "auxiliary/checkpoint",
        pytest.param("history.csv", marks=pytest.mark.slow),
    ],
)
def test_kill_and_repeat_leads_to_the_same_weights(
    tool, distilled, tmp_path, moment
):
    command, folder, _ = distilled
    command = [*command, f"--work_dir={tmp_path}"]
    process = tool("distill", *command, start_only=True)
    deadline = time.time() + 120
    while not (tmp_path / moment).exists() and process.poll() is None:
        assert time.time() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "result.json").exists()
    tool("distill", *command)
    expected, found = (
        json.loads((path / "result.json").read_text())
        for path in (folder, tmp_path)
    )
    assert found["checksum"] == expected["checksum"]
    assert found["scores"]["accuracy"] == expected["scores"]["accuracy"]


@pytest.mark.slow
def test_second_process_on_one_directory(tool, distilled, tmp_path):
    command, _, _ = distilled
    command = [*command, f"--work_dir={tmp_path}"]
    first = tool("distill", *command, start_only=True)
    try:
        while not (tmp_path / "flags.txt").exists():
            assert first.poll() is None
            time.sleep(0.02)
        second = tool("distill", *command, check=False)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    assert second.returncode == 1
    assert second.stderr.startswith("error: Another process works in")
    assert second.stderr.count("\n") == 1
