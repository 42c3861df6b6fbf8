import json
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.training import work_directory

_HOLD = """
import sys, time
from indistill_tf.training import work_directory
with work_directory.locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_process_is_refused_until_the_first_is_killed(tmp_path):
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="Another process works in"):
            with work_directory.locked(tmp_path):
                pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    for _ in range(50):
        try:
            with work_directory.locked(tmp_path):
                return
        except UserError:
            time.sleep(0.1)
    pytest.fail("the lock outlived its process")


def test_unwritable_directory(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        with work_directory.locked(tmp_path / "file" / "below"):
            pass


def test_damaged_json(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(UserError, match="missing or no JSON"):
        work_directory.read_json(tmp_path / "a.json")


def test_checksum_is_of_the_weights():
    first, second = (models.build("cnn_s", (32, 32, 1), 10) for _ in range(2))
    assert work_directory.checksum(first) != work_directory.checksum(second)
    second.set_weights(first.get_weights())
    assert work_directory.checksum(first) == work_directory.checksum(second)


_ALLOCATE = """
import numpy as np
from indistill_tf.training import work_directory
before = work_directory.peak_memory()
touched = np.ones(25_000_000)  # of eight bytes
during = work_directory.peak_memory()
del touched
print(before, during, work_directory.peak_memory())
"""


@pytest.mark.long
def test_peak_memory_grows_and_stays():
    # A parent of this size must not count.
    held = np.ones(100_000_000)
    output = subprocess.run(
        [sys.executable, "-c", _ALLOCATE],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    before, during, after = map(int, output.split())
    assert 150e6 < during - before < 250e6
    # Linux counts in pages that each thread reports now and then.
    assert after == pytest.approx(during, rel=0.01)
    assert held.nbytes == 800e6


def test_environment_is_recorded():
    found = work_directory.environment()
    json.dumps(found)
    assert found["versions"]["keras"].startswith("3.")
    assert "indistill_tf" in found["versions"]
    assert found["device"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=pathlib.Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    if head.returncode == 0:
        commit = found["git_commit"].removesuffix("-dirty")
        assert commit == head.stdout.strip()
