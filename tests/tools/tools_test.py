"""The other tools, and what takes runs of its own."""

import json
import os
import re
import signal
import time

import pytest
import tensorflow as tf

from indistill_tf.training import work_directory

from .conftest import ROOT
from .conftest import SMALL

TOOLS = [
    "benchmark",
    "chaos",
    "compress",
    "launch_local",
    "make_tiny",
    "train",
    "train_rdm",
    "distill",
    "distill_clip",
    "evaluate",
    "export",
    "methods",
    "models",
    "report",
    "sweep",
]


@pytest.mark.parametrize("name", TOOLS)
def test_help_fits_a_screen(tool, name):
    lines = tool(name, "--help", fresh=True).stdout.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    assert not any(re.match(r"\[|--\w+=", line) for line in lines)
    assert f"python tools/{name}.py" in "\n".join(lines)


def test_train(tool, tmp_path):
    command = ["--model=cnn_s", "--epochs=2", f"--work_dir={tmp_path}", *SMALL]
    output = tool("train", *command).stdout
    assert "student (cnn_s)" in output
    assert (tmp_path / "saved_model" / "labels.txt").exists()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["method"] is None
    assert result["recipe"]["epochs"] == 2


def test_train_at_a_senseless_rate(tool, tmp_path):
    command = ["train", "--model=cnn_s", "--epochs=2", *SMALL]
    command = [*command, f"--work_dir={tmp_path}"]
    process = tool(*command, "--learning_rate=1e30", check=False)
    assert process.returncode == 1
    assert process.stderr.startswith("error: student: ")
    assert process.stderr.count("\n") == 1
    assert "of epoch 1; training stopped. Lower --learning_rate" in (
        process.stderr
    )
    # Nothing was reached that would be worth keeping.
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


@pytest.mark.slow
def test_optimizer_flags_reach_the_recipe(tool, tmp_path):
    chosen = {
        "momentum": 0.8,
        "nesterov": True,
        "weight_decay": 5e-4,
        "gradient_accumulation": 2,
    }
    given = [f"--{name}={value}" for name, value in chosen.items()]
    command = ["--model=cnn_s", "--epochs=1", f"--work_dir={tmp_path}", *SMALL]
    tool("train", *command, "--optimizer=sgd", *given)
    result = json.loads((tmp_path / "result.json").read_text())
    expected = {"optimizer_name": "sgd", **chosen}
    assert expected.items() <= result["recipe"].items()


@pytest.mark.slow
def test_mirrored_strategy(tool, tmp_path):
    command = ["--model=cnn_s", "--epochs=1", f"--work_dir={tmp_path}", *SMALL]
    tool("train", *command, "--strategy=mirrored")
    result = json.loads((tmp_path / "result.json").read_text())
    gpus = len(tf.config.list_physical_devices("GPU"))
    assert result["replicas"] == max(gpus, 1)


@pytest.mark.slow
def test_models(tool):
    output = tool("models", "--channels=1").stdout
    line = next(x for x in output.splitlines() if x.startswith("cnn_s "))
    assert "14,906" in line
    assert "tap_1 15x15x8" in line
    line = next(x for x in output.splitlines() if x.startswith("vit_l_14 "))
    assert line.endswith("must be multiples of the patch of 14 pixels")
    line = next(x for x in output.splitlines() if x.startswith("text_b "))
    assert line.split() == ["text_b", "63,428,096", "512", "77"]


def test_methods(tool, tmp_path):
    output = tool("methods").stdout
    assert "| `indistill` | all, pruned: `FeatureMSE` | none |" in output
    tool("methods", f"--output={tmp_path}/methods.md")
    assert (tmp_path / "methods.md").read_text() == output


@pytest.mark.slow
def test_sweep_gives_common_flags_to_each_run(tool, distilled, tmp_path):
    _, folder, _ = distilled
    runs = tmp_path / "two.sweep"
    runs.write_text(
        f"--teacher={folder}/teacher/model.keras\n"
        "--student=cnn_s --epochs=3\n"
        "first: --method=okd\nsecond: --method=pkt --max_steps=9\n"
    )
    common = [*SMALL, "--max_steps=2", "--learning_rate=0.002"]
    tool(
        "sweep",
        f"--runs={runs}",
        f"--work_dir={tmp_path}/sweep",
        f"--common={' '.join(common)}",
        "--jobs=2",
    )
    for name, method in (("first", "okd"), ("second", "pkt")):
        path = tmp_path / "sweep" / name / "result.json"
        result = json.loads(path.read_text())
        assert result["method"] == method
        assert result["recipe"]["max_steps"] == 2
        assert result["recipe"]["learning_rate"] == 0.002
        assert result["images"]["train"] == 400
        assert (result["epochs"], result["steps_per_epoch"]) == (1, 2)
    header = (tmp_path / "sweep" / "table.txt").read_text().splitlines()[0]
    assert "s/step  peak MB" in header


@pytest.mark.slow
def test_sweep_ends_with_its_runs(tool, tmp_path):
    runs = tmp_path / "one.sweep"
    runs.write_text("alone: train --model=cnn_s\n")
    command = ["sweep", f"--runs={runs}", f"--work_dir={tmp_path}/sweep"]
    process = tool(*command, start_only=True)
    while not (tmp_path / "sweep" / "alone" / "flags.txt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    # It ends when nobody is left who could write to it.
    _, stderr = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert stderr == (
        "Interrupted by SIGTERM. The same command goes on where it stopped.\n"
    )
    assert not (tmp_path / "sweep" / "alone" / "result.json").exists()


def test_second_sweep_of_one_folder(tool, tmp_path):
    runs = tmp_path / "one.sweep"
    runs.write_text("alone: train --model=cnn_s\n")
    command = ["sweep", f"--runs={runs}", f"--work_dir={tmp_path}/sweep"]
    with work_directory.locked(tmp_path / "sweep"):
        process = tool(*command, check=False)
    assert process.returncode == 1
    assert process.stderr.startswith("error: Another process works in")
    assert process.stderr.count("\n") == 1


def test_sweep_for_a_cluster(tool, tmp_path):
    runs = tmp_path / "two.sweep"
    runs.write_text(
        "teacher: train --model=cnn_a\n"
        "okd: --teacher={folder}/teacher/model.keras --student=cnn_s\n"
    )
    command = ["sweep", f"--runs={runs}", f"--work_dir={tmp_path}/sweep"]
    cluster = ["--dry_run", "--launcher=slurm", "--launcher_options=gpus=1"]
    process = tool(*command, *cluster)
    lines = process.stdout.splitlines()
    assert lines[:2] == ["#!/bin/sh", "#SBATCH --job-name=sweep"]
    assert lines[2] == "#SBATCH --array=0-0"
    assert lines[4] == "#SBATCH --gpus=1"
    assert process.stderr == (
        "1 runs need one that is not finished. Repeat the command when it is.\n"
    )


def test_report_over_seeds(tool, tmp_path):
    folder = ROOT / "docs" / "results" / "cifd_cifar10"
    pattern = f"--work_dirs={folder}/cifd3_seed?,{folder}/kd_seed?"
    command = ["report", "--seeds", pattern, "--reference=kd"]
    output = tool(*command, f"--output={tmp_path}/table.md").stdout
    assert (tmp_path / "table.md").read_text() == output
    assert "| cifd3 | 3 | 47.81 ± 0.09 | +5.62 * |  |" in output
    page = ["--columns=mAP,L_MI", f"--html={tmp_path}/report.html"]
    output = tool(*command, *page).stdout
    assert "| mAP | n | here | difference to kd | p |" in output
    assert "| L_MI |" in output
    assert "| accuracy |" not in output
    text = (tmp_path / "report.html").read_text()
    assert "<td>cifd3</td><td>3</td><td>47.81 ± 0.09</td>" in text
    assert "No evaluation.npz: cifd3, kd." in text
    process = tool("report", pattern, "--reference=kd", check=False)
    assert process.stderr == (
        "error: --reference compares methods: give --seeds too.\n"
    )
    process = tool("report", f"--work_dirs={tmp_path}/*", check=False)
    assert "names no folder with a result.json or a" in process.stderr


def test_report_of_ladders(tool, tmp_path):
    for seed, accuracy in ((0, 0.866), (1, 0.864)):
        rungs = {
            "teacher": {"accuracy": 0.9, "map": 0.8, "hop": None},
            "student": {"accuracy": accuracy, "map": 0.7, "hop": None},
            "control": {"accuracy": 0.871, "map": 0.75, "hop": "control"},
            "int4_qat": {"accuracy": accuracy, "map": 0.74, "hop": "int4"},
        }
        images = {"name": "mine", "train": 20, "test": 4}
        record = {"seed": seed, "rungs": rungs, "images": images}
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        (folder / "ladder.json").write_text(json.dumps(record))
    ladders = f"--work_dirs={tmp_path}/seed?"
    command = ["report", "--seeds", "--reference=control", ladders]
    output = tool(*command).stdout
    assert "| int4_qat | 2 | 86.50 ± 0.14 | -0.60 * |  |" in output
    # Of one network, and of one a seed.
    assert "| teacher | 1 | 90.00 | +2.90 |  |" in output
    assert "| student | 2 | 86.50 ± 0.14 | -0.60 * |  |" in output
    assert "mine: 4 test images, retrieval among 20 training" in output
    run = ROOT / "docs" / "results" / "cifar10_pkt_seed1"
    for arguments in (
        ["report", ladders],
        [*command, f"--html={tmp_path}/page.html"],
        [*command, "--protocol=reference"],
        ["report", "--seeds", f"{ladders},{run}"],
    ):
        process = tool(*arguments, check=False)
        assert "seed0 holds a ladder of `compress`" in process.stderr


def test_report_of_pairs(tool, tmp_path):
    results = ROOT / "docs" / "results"
    pair = f"--work_dirs={results}/clip_generated/seed0"
    output = tool("report", pair).stdout
    assert "zero-shot" in output.splitlines()[0]
    one_of_each = f"{pair},{results}/cifar10_pkt_seed1"
    for arguments in ([one_of_each], [pair, "--seeds"]):
        process = tool("report", *arguments, check=False)
        assert "seed0 holds a pair of towers" in process.stderr


def test_sweep_file_that_cannot_be_read(tool, tmp_path):
    runs = tmp_path / "bad.sweep"
    runs.write_text("okd: --method=okd\n\nokd: --method=pkt\n")
    arguments = (f"--runs={runs}", f"--work_dir={tmp_path}")
    process = tool("sweep", *arguments, check=False)
    assert process.stderr.startswith(f"error: {runs}, line 3: expected `name:")


@pytest.mark.slow
def test_two_students_share_a_teacher_cache(tool, distilled, tmp_path):
    _, folder, _ = distilled
    command = [
        f"--teacher={folder}/teacher/model.keras",
        "--epochs=4",
        "--a=1",
        "--b=0",
        "--batch_norm=carry",
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


FLAG_FILES = sorted((ROOT / "flags").glob("*.flags"))


@pytest.mark.parametrize("file", FLAG_FILES, ids=lambda path: path.stem)
def test_flag_files_hold_flags_that_exist(tool, file, tmp_path):
    first = file.read_text().splitlines()[0]
    match = re.match(r"# python tools/(\w+).py --flagfile=(\S+)", first)
    assert match[2] == f"flags/{file.name}"
    # All flags are read before the one that does not exist, and before
    # TensorFlow is imported.
    process = tool(
        match[1],
        f"--flagfile=flags/{file.name}",
        f"--work_dir={tmp_path}",
        "--unknown",
        check=False,
        fresh=True,
    )
    assert process.stderr.startswith("error: Unknown command line flag 'unkn")
