import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# Real images, few of them; the smallest networks.
SMALL = [
    "--train_split=train[:400]",
    "--test_split=test[:100]",
    "--batch_size=64",
    "--drop_epochs=4",
]


@pytest.fixture(scope="session")
def tool(run_warm):
    """Runs a command-line tool: `fresh` or `start_only` as a user does.

    Else in a process that a warm one forks, which spares the import of
    TensorFlow; what ends before it is faster `fresh`.
    """

    def tool(name, *arguments, check=True, fresh=False, start_only=False):
        command = [f"tools/{name}.py", *map(str, arguments)]
        options = dict(cwd=ROOT, text=True)
        options |= dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        python = [sys.executable, *command]
        if start_only:
            return subprocess.Popen(python, start_new_session=True, **options)
        if fresh:
            process = subprocess.run(python, **options)
        else:
            process = run_warm(command)
        if check and process.returncode:
            pytest.fail(process.stdout + process.stderr)
        return process

    return tool


@pytest.fixture(scope="session")
def distilled(tool, tmp_path_factory):
    """A finished chain of hops: its command and its work directory."""
    folder = tmp_path_factory.mktemp("distilled")
    command = [
        "--teacher=cnn_a",
        "--teacher_epochs=1",
        "--auxiliary=auto",
        "--auxiliary_epochs=1",
        "--student=cnn_s",
        "--student_alone",
        "--a=1",
        "--b=0",
        "--epochs=5",
        "--supervised_weight=1",
        *SMALL,
    ]
    process = tool("distill", *command, f"--work_dir={folder}", fresh=True)
    return command, folder, process.stdout
