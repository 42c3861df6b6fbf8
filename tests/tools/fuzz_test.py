"""What nobody would type: one line, whatever it is."""

import ast
import subprocess
import sys

import pytest

from .conftest import ROOT


@pytest.mark.slow
def test_random_command_lines():
    process = subprocess.run(
        [sys.executable, "-m", "tests.tools.fuzz", "--count=40"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    # Each defect would have lines of its own, and the last one counts them.
    (line,) = process.stdout.splitlines()
    counts = ast.literal_eval(line)
    assert counts["refused"] + counts["accepted"] == 40
