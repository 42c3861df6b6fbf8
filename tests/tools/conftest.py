import json
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
def run_warm(tmp_path_factory):
    """Runs a command in a process that has imported TensorFlow already."""
    folder = tmp_path_factory.mktemp("output")
    stdout, stderr = folder / "stdout", folder / "stderr"
    server = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).with_name("warm_process.py")],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def run_warm(arguments, folder=ROOT):
        files = {"stdout": str(stdout), "stderr": str(stderr)}
        request = {"arguments": arguments, "folder": str(folder), **files}
        print(json.dumps(request), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(
            arguments, status, stdout.read_text(), stderr.read_text()
        )

    yield run_warm
    server.communicate()


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
def console(run_warm):
    """Runs the command `indistill_tf` in a folder, such as a user's."""
    script = str(ROOT / "tools" / "__main__.py")

    def console(*arguments, folder):
        return run_warm([script, *map(str, arguments)], folder)

    return console


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
