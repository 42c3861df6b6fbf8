"""The command `indistill_tf`: sub-commands, recipes, what it refuses."""

import subprocess
import sys

import pytest

from indistill_tf_tools.__main__ import COMMANDS

from .conftest import ROOT


@pytest.fixture
def command(tmp_path):
    """Runs the command in an empty folder, as long as TensorFlow is not used.

    It then ends before a warm process would have forked.
    """
    script = str(ROOT / "tools" / "__main__.py")

    def command(*arguments):
        return subprocess.run(
            [sys.executable, script, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return command


def test_help_lists_the_sub_commands(command):
    process = command("--help")
    lines = process.stdout.splitlines()
    assert process.returncode == 0
    assert [line.split()[0] for line in lines[3:-2]] == list(COMMANDS)
    assert any(
        line.startswith("  report        Prints one table of several")
        for line in lines
    )
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("arguments", [["bake"], [], ["--model=cnn_s"]])
def test_unknown_sub_command(command, arguments):
    process = command(*arguments)
    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f" Expected one of: {', '.join(COMMANDS)}.")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_that_of_the_tool(command, tool, name):
    found = command(name, "--help").stdout
    expected = tool(name, "--help", fresh=True).stdout
    assert f"indistill_tf {name} " in found
    assert "tools/" not in found
    assert flags(found) == flags(expected)
    assert len(found.splitlines()) == len(expected.splitlines())


def flags(text):
    return [line for line in text.splitlines() if line.startswith("  --")]


@pytest.mark.parametrize("flag", ["--help", "--speed=9"])
def test_answers_without_tensorflow(flag):
    code = (
        "import sys, indistill_tf_tools.__main__ as command\n"
        f"sys.argv = ['indistill_tf', 'distill', '{flag}']\n"
        "try:\n    command.main()\n"
        "finally:\n    print('numpy' in sys.modules, file=sys.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert process.stderr.splitlines()[-1] == "False"


def test_recipes_from_anywhere(command, tmp_path):
    # The recipe of that name includes flags/base/papers.flags.
    (tmp_path / "mine.flags").write_text(
        "--flagfile=fashion_mnist_student.flags\n--epochs=many\n"
    )
    for name in ("mine.flags", tmp_path / "mine.flags"):
        process = command("train", f"--flagfile={name}")
        assert process.stderr.startswith("error: flag --epochs=many")


def test_recipe_that_is_nowhere(command, console, tmp_path):
    runs = ["sweep", "--runs=quickstrt.flags", "--work_dir=x"]
    for process in (
        command("distill", "--flagfile=quickstrt.flags"),
        console(*runs, folder=tmp_path),
    ):
        assert process.returncode == 1
        (line,) = process.stderr.splitlines()
        start = f"error: quickstrt.flags: no such file in {tmp_path} or in"
        assert line.startswith(f"{start} {ROOT / 'flags'}, which has quick")


def test_sweep_of_a_recipe(console, tmp_path):
    arguments = ["--runs=cifd_quick.sweep", "--work_dir=x"]
    # Each of its runs is refused at once.
    wrong = "--common=--unknown"
    process = console("sweep", *arguments, wrong, folder=tmp_path)
    assert " of the runs failed: kd, kd_bottleneck" in process.stderr
    assert process.stderr.count("Unknown command line flag 'unknown'") > 2
