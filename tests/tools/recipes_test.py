import json
import pathlib
import subprocess
import sys

import pytest

from indistill_tf_tools import recipes
from indistill_tf_tools import sweep_file

FOLDER = pathlib.Path(__file__).parents[2] / "flags"

PAPERS = [
    "--epochs=70",
    "--drop_epochs=60",
    "--learning_rate=1e-3",
    "--batch_size=128",
]


@pytest.mark.parametrize(
    "name", ["base/papers.flags", "flags/base/papers.flags"]
)
def test_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipes.expanded([f"--flagfile={name}"]) == PAPERS


@pytest.mark.parametrize("name", ["/dev/full", "/dev/null", "{}/bytes"])
def test_what_is_no_text(name, tmp_path):
    (tmp_path / "bytes").write_bytes(b"\x80\xff")
    with pytest.raises(OSError, match="is a device|than text in UTF-8"):
        recipes.expanded([f"--flagfile={name.format(tmp_path)}"])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.*")), ids=str)
def test_what_a_recipe_leaves_to_no_default(path):
    """Its weights and statistics are those of its record, come what may."""
    if path.suffix == ".sweep":
        rows = sweep_file.read(path, pathlib.Path("runs"))
        taught = [row.arguments for row in rows if row.command == "distill"]
        runs = [" ".join(arguments) for arguments in taught]
    else:
        lines = recipes.expanded([f"--flagfile={path}"])
        runs = [" ".join(lines)] if "distill.py" in path.read_text() else []
    for run in runs:
        # One of the weights is the same in both; a pair's file is named beside.
        if "--method=cifd" not in run and path.name != "tasks.sweep":
            assert "--objective=" in run
        if "=indistill" in run and path.name != "tasks.sweep":
            assert "--batch_norm=" in run


@pytest.mark.parametrize(
    "name, runs, needed",
    [
        # Tasks; rates and a teacher; depths and methods, auxiliaries and a
        # teacher; a and b; schemes. Each with three seeds.
        ("cifar10_tasks", 3 * 3, set()),
        ("cifar10_pruning_rates", 3 * 3 + 1, {"teacher"}),
        (
            "cifar10_depths",
            4 * 2 * 3 + 4 + 1,
            {"teacher", *(f"auxiliary_{depth}" for depth in (2, 3, 5, 7))},
        ),
        ("cifar10_curricula", 5 * 3 * 3, set()),
        ("cifar10_schemes", 4 * 3, set()),
        (
            "cifar10_own_chain",
            13 * 3 + 3,
            {"teacher", "auxiliary", "auxiliary_dkd"},
        ),
    ],
)
def test_smaller_tables(name, runs, needed):
    path = FOLDER / f"{name}.sweep"
    rows = sweep_file.read(path, pathlib.Path("runs"))
    assert len(rows) == runs
    assert {name for row in rows for name in row.needs} == needed


# Reads runs, a list for each tool, and prints a line for each tool: what is
# wrong with which. Tools define the same flags: each has a process.
PARSE = """
import importlib, json, os, sys
from indistill_tf_tools import fields, method_flags
from indistill_tf import training

def check(tool, arguments):
    flags = tool.FLAGS
    flags.unparse_flags()
    flags(["tool", *arguments])
    if "epochs" in flags and "batch_size" in flags:
        recipe = fields.chosen(training.Recipe)
    if "method" in flags:
        method = method_flags.distillation(recipe.epochs).method
        method.check(recipe.epochs, 1)

for name, runs in json.load(sys.stdin).items():
    if os.fork():
        os.wait()
        continue
    tool = importlib.import_module("indistill_tf_tools." + name)
    wrong = []
    for arguments in runs:
        try:
            check(tool, arguments)
        except Exception as error:
            wrong.append([arguments, str(error)])
    print(json.dumps(wrong), flush=True)
    os._exit(0)
"""


def test_runs_of_all_sweeps_are_understood():
    # Flags that a sweep may leave to --common come first.
    common = {"distill": ["--teacher=cnn_a", "--student=cnn_s"]}
    runs = {"distill": [], "train": [], "train_rdm": []}
    for path in sorted(FOLDER.glob("*.sweep")):
        for row in sweep_file.read(path, pathlib.Path("runs")):
            arguments = [*common.get(row.command, ()), *row.arguments]
            arguments.append("--work_dir=runs/one")
            runs[row.command].append(recipes.expanded(arguments))
    mistakes = [[*runs["distill"][0], "--method=pkd"]]
    mistakes.append([*runs["distill"][0], "--w1=2"])
    done = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps({**runs, "distill": runs["distill"] + mistakes}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    wrong = [json.loads(line) for line in done.stdout.splitlines()]
    assert [[run for run, _ in found] for found in wrong] == [mistakes, [], []]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("cifar10_pkt", "retrieval"),
        ("cub200_indistill", "retrieval"),
        ("fashion_mnist_okd", "retrieval"),
        ("cifar10_indistill_released", "retrieval"),
        ("quickstart", "classification"),
        ("cifar100_wrn_40_2_wrn_40_1", "classification"),
        ("imagenet_resnet50_resnet18", "classification"),
    ],
)
def test_objective_of_a_recipe(name, expected):
    lines = recipes.expanded([f"--flagfile={name}.flags"])
    assert f"--objective={expected}" in lines


def test_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart.flags").write_text("--epochs=1")
    assert recipes.expanded(["--flagfile=quickstart.flags"]) == ["--epochs=1"]
    assert "--epochs=20" in recipes.expanded(
        ["--flagfile=flags/quickstart.flags"]
    )


def test_lines_take_the_files_place(tmp_path):
    path = tmp_path / "mine.flags"
    path.write_text(
        f"# mine\n// too\n\n  --a=x y \n--flagfile={path}\n"
        "--flagfile=base/papers.flags\n--b\n"
    )
    found = ["--a=x y", *PAPERS, "--b"]
    for arguments in ([f"--flagfile={path}"], ["-flagfile", str(path)]):
        expected = ["--first", *found, "last"]
        assert recipes.expanded(["--first", *arguments, "last"]) == expected


def test_what_is_no_flag_file():
    arguments = ["--runs=a.sweep", "--", "--flagfile=quickstart.flags"]
    assert recipes.expanded(arguments) == arguments
    # absl refuses the one and ignores the other.
    for argument in ("--flagfile", "--flagfile="):
        assert recipes.expanded([argument]) == [argument]


def test_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        recipes.find("cifr10_pkt.flags")
    assert caught.value.filename == "cifr10_pkt.flags"
    text = caught.value.strerror
    assert text.startswith(f"no such file in {tmp_path} or in {recipes.FOLDER}")
    assert "which has cifar10_pkt.flags, " in text
