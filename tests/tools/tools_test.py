import json
import re

import pytest
import tensorflow as tf

from .conftest import ROOT
from .conftest import SMALL

TOOLS = [
    "benchmark",
    "make_tiny",
    "train",
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
    lines = tool(name, "--help").stdout.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    assert not any("[...]" in line for line in lines)
    assert f"python tools/{name}.py" in "\n".join(lines)


def test_train(tool, tmp_path):
    command = ["--model=cnn_s", "--epochs=2", f"--work_dir={tmp_path}", *SMALL]
    output = tool("train", *command).stdout
    assert "student (cnn_s)" in output
    assert (tmp_path / "saved_model" / "labels.txt").exists()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["method"] is None
    assert result["recipe"]["epochs"] == 2


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


def test_evaluate(tool, distilled, tmp_path):
    _, folder, _ = distilled
    output = tool(
        "evaluate",
        f"--model={folder}/student.keras",
        f"--teacher={folder}/auxiliary/student.keras",
        f"--output={tmp_path}/scores.json",
        "--ranks=1,5",
        *SMALL[:2],
    ).stdout
    assert "euclidean, reference protocol" in output
    found = json.loads((tmp_path / "scores.json").read_text())["scores"]
    before = json.loads((folder / "result.json").read_text())["scores"]
    assert found["accuracy"] == before["accuracy"]
    assert found["information_flow"] == before["information_flow"]
    assert list(found["retrieval"]["cosine"]["standard"]) == [
        "map",
        "p@1",
        "p@5",
    ]


def test_export_and_check(tool, distilled, tmp_path):
    _, folder, _ = distilled
    output = tool(
        "export", f"--work_dir={folder}", f"--output={tmp_path}/e", "--check"
    ).stdout
    assert "largest difference to the model" in output
    assert (tmp_path / "e" / "saved_model.pb").exists()


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


def test_report(tool, distilled):
    _, folder, _ = distilled
    dirs = f"--work_dirs={folder},{folder}/teacher"
    lines = tool("report", dirs, "--protocol=reference").stdout.splitlines()
    assert lines[2].startswith(f"{folder} (cnn_s, indistill)")
    assert lines[3].startswith(f"{folder}/teacher (cnn_a)")
    assert "reference protocol" in lines[-1]


def test_sweep(tool, distilled, tmp_path):
    _, folder, _ = distilled
    runs = tmp_path / "short.sweep"
    runs.write_text(
        f"--teacher={folder}/teacher/student.keras --student=cnn_s\n"
        f"{' '.join(SMALL)}  # of all\n\n"
        "# Two that run and one that cannot.\n"
        "crd: --method=crd --task_options=num_negatives=64 --epochs=1\n"
        "prepared: --method=factor_transfer --preparation=1 --epochs=2\n"
        "wrong: --method=factor_transfer --preparation=2 --epochs=2\n"
    )
    arguments = (f"--runs={runs}", f"--work_dir={tmp_path}/sweep")
    process = tool("sweep", *arguments, check=False)
    assert process.returncode == 1
    assert "the budget is 2" in process.stderr
    assert "1 of the runs failed: wrong." in process.stderr
    table = (tmp_path / "sweep" / "table.txt").read_text()
    assert table in process.stdout
    assert "crd (cnn_s, crd)" in table
    assert "prepared (cnn_s, factor_transfer)" in table
    for name in ("crd", "prepared"):
        assert (tmp_path / "sweep" / name / "saved_model").exists()


@pytest.mark.slow
def test_sweep_gives_common_flags_to_each_run(tool, distilled, tmp_path):
    _, folder, _ = distilled
    runs = tmp_path / "two.sweep"
    runs.write_text(
        f"--teacher={folder}/teacher/student.keras\n"
        "--student=cnn_s --epochs=3\n"
        "first: --method=okd\nsecond: --method=pkt --max_steps=9\n"
    )
    common = [*SMALL, "--max_steps=2", "--learning_rate=0.002"]
    tool(
        "sweep",
        f"--runs={runs}",
        f"--work_dir={tmp_path}/sweep",
        f"--common={' '.join(common)}",
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


def test_sweep_file_that_cannot_be_read(tool, tmp_path):
    runs = tmp_path / "bad.sweep"
    runs.write_text("okd: --method=okd\n\nokd: --method=pkt\n")
    arguments = (f"--runs={runs}", f"--work_dir={tmp_path}")
    process = tool("sweep", *arguments, check=False)
    assert process.stderr.startswith(f"error: {runs}, line 3: expected `name:")


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
    )
    assert process.stderr.startswith("error: Unknown command line flag 'unkn")
