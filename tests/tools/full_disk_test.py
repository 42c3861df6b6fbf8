"""Runs on a file system that is small, or may only be read."""

import json
import shutil
import subprocess

import pytest

from indistill_tf.training import promises

pytestmark = pytest.mark.slow
COMMAND = [
    *("--model=cnn_s", "--train_split=train[:64]", "--test_split=test[:33]"),
    *("--batch_size=32", "--epochs=2", "--drop_epochs="),
]


@pytest.fixture
def disk(tmp_path):
    """A file system, and a function that mounts it again with options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        return subprocess.run(command, capture_output=True, text=True)

    if shutil.which("mount") is None or mount("size=4k").returncode:
        pytest.skip("this user may not mount file systems")
    yield folder, lambda options: mount(f"remount,{options}").check_returncode()
    subprocess.run(["umount", folder], check=True)


def refused(tool, folder):
    """Returns the one line in which a training on a disk ends."""
    process = tool("train", *COMMAND, f"--work_dir={folder}", check=False)
    assert process.returncode == 1, process.stdout + process.stderr
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_full_disk_costs_no_result(tool, disk, tmp_path):
    top, mount = disk
    for size in ("4k", "1m"):
        mount(f"size={size}")
        line = refused(tool, top / "run")
        assert "No space left on device" in line
        assert "before is whole. Make room, " in line
    mount("size=9m")
    for folder in (top / "run", tmp_path / "other"):
        tool("train", *COMMAND, f"--work_dir={folder}")
    found, expected = (
        json.loads((folder / promises.RECORD).read_text())["checksum"]
        for folder in (top / "run", tmp_path / "other")
    )
    assert found == expected
    # Full when the run has to make its export again: nothing is lost.
    before = (top / "run" / "model.keras").read_bytes()
    shutil.rmtree(top / "run" / "saved_model")
    used = shutil.disk_usage(top).used // 1024
    mount(f"size={used + 100}k")
    assert "No space left on device" in refused(tool, top / "run")
    assert (top / "run" / "model.keras").read_bytes() == before
    mount("size=9m")
    again = tool("train", *COMMAND, f"--work_dir={top / 'run'}")
    assert "student: finished before, not trained again" in again.stdout
    assert (top / "run" / "saved_model" / "saved_model.pb").exists()
    # What may only be read, finished or not, is named.
    mount("ro")
    for name in ("run", "new"):
        assert f"work directory {top / name} cannot be written (Read-only" in (
            refused(tool, top / name)
        )
