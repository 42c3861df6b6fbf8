"""What needs a finished run of tools/distill.py, made once for this file."""

import json
import os
import shlex
import shutil
import signal
import time

import numpy as np
import pytest

from indistill_tf.evaluation import Details
from indistill_tf.training import promises

from .conftest import SMALL


def test_output_and_record(distilled):
    _, folder, output = distilled
    assert "teacher (cnn_a)" in output
    assert "auxiliary (auxiliary, pkt)" in output
    assert "student, baseline (cnn_s, labels only)" in output
    assert "to do: student, by indistill from auxiliary: 5 epochs of" in output
    lines = output.splitlines()
    (line,) = (line for line in lines if line.startswith("Score it again"))
    # What the run was told of its images, in the shell's own words.
    assert shlex.split(line)[3:] == [
        "python",
        "tools/evaluate.py",
        f"--model={folder}/model.keras",
        *SMALL[:2],
    ]
    assert "student (cnn_s, indistill)" in output
    assert f"SavedModel: {folder}/saved_model" in output
    files = {path.name for path in folder.iterdir()}
    assert files >= {
        "flags.txt",
        "history.csv",
        "logs",
        "loss.png",
        "evaluation.npz",
        "result.json",
        "saved_model",
        "model.keras",
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


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("saved_model/saved_model.pb", flip),
        ("saved_model/variables/variables.data-00000-of-00001", cut),
        ("saved_model/labels.txt", os.unlink),
        ("saved_model", shutil.rmtree),
        ("loss.png", flip),
    ],
)
def test_what_can_be_made_again_is(tool, distilled, tmp_path, name, damage):
    command, folder, _ = distilled
    # Moved, too: where it lies is no part of a run.
    folder = shutil.copytree(folder, tmp_path / "moved")
    damage(folder / name)
    assert not promises.is_finished(folder, "saved_model")
    output = tool("distill", *command, f"--work_dir={folder}").stdout
    again = (
        f"{folder}/{name.split('/')[0]} is gone or damaged, and is made again"
    )
    assert output.count(again) == 1
    assert "is made again" not in output.replace(again, "")
    assert promises.is_finished(folder, "saved_model")


@pytest.mark.parametrize(
    "name", ["model.keras", "history.csv", "auxiliary/model.keras"]
)
def test_what_cannot_be_made_again_is_named(tool, distilled, tmp_path, name):
    command, folder, _ = distilled
    folder = shutil.copytree(folder, tmp_path / "moved")
    flip(folder / name)
    process = tool("distill", *command, f"--work_dir={folder}", check=False)
    assert process.returncode == 1
    record = (folder / name).with_name("result.json")
    (line,) = process.stderr.splitlines()
    lost = f"error: {name.split('/')[-1]} in {record.parent} cannot be made"
    assert line.startswith(lost)
    assert f"remove {record} to train that network again" in line


def test_command_does_the_same(console, distilled, tmp_path):
    command, folder, _ = distilled
    work_dir = f"--work_dir={folder}"
    process = console("distill", *command, work_dir, folder=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "is finished; nothing is left to do" in process.stdout


def test_a_later_version_goes_on(tool, distilled, tmp_path):
    command, folder, _ = distilled
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    flags = (tmp_path / "flags.txt").read_text().splitlines()
    before = [line for line in flags if "label_smoothing" not in line]
    before.remove(f"--work_dir={folder}")
    before.append(f"--work_dir={tmp_path}")
    (tmp_path / "flags.txt").write_text("\n".join(before))
    assert len(before) == len(flags) - 1
    command = [*command, f"--work_dir={tmp_path}"]
    assert "is finished" in tool("distill", *command).stdout
    process = tool("distill", *command, "--label_smoothing=0.5", check=False)
    assert "with other flags (+ --label_smoothing=0.5; -" in process.stderr


@pytest.mark.long
def test_a_run_of_before_keeps_the_defaults_of_its_time(
    tool, distilled, tmp_path
):
    command, folder, _ = distilled
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    flags = (tmp_path / "flags.txt").read_text()
    assert "--notaps_resize\n" in flags and "--batch_norm=" not in flags
    assert "--objective=classification\n" in flags
    flags = flags.replace("--notaps_resize\n", "")
    flags = flags.replace("=classification", "=retrieval")
    flags = flags.replace(str(folder), str(tmp_path))
    (tmp_path / "flags.txt").write_text(flags)
    command = [*command, f"--work_dir={tmp_path}"]
    assert "is finished" in tool("distill", *command).stdout
    own = [*command, "--batch_norm=carry", "--objective=retrieval"]
    assert "is finished" in tool("distill", *own).stdout
    for other, flag in (
        ("--objective=classification", "+ --objective=classification"),
        ("--batch_norm=batch_statistics", "+ --batch_norm=batch_statistics"),
    ):
        process = tool("distill", *command, other, check=False)
        assert flag in process.stderr


@pytest.mark.long
def test_accuracy_of_an_untrained_classifier_is_warned_of_once(
    tool, distilled, tmp_path
):
    _, folder, _ = distilled
    command = [
        f"--teacher={folder}/teacher/model.keras",
        "--student=cnn_s",
        "--method=pkt",
        "--epochs=1",
        f"--work_dir={tmp_path}",
        *SMALL,
    ]
    output = tool("distill", *command, "--objective=retrieval").stdout
    assert "student: Method 'pkt' compares no feature maps." in output
    assert output.count("will stay as it is") == 1
    assert "use --objective=classification, or a --supervised_weight" in output


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


def test_flags_of_the_record_repeat_the_run(tool, distilled):
    _, folder, _ = distilled
    process = tool("distill", f"--flagfile={folder}/flags.txt")
    assert "is finished" in process.stdout


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("teacher/history.csv", marks=pytest.mark.slow),
        pytest.param("auxiliary/checkpoint", marks=pytest.mark.long),
        pytest.param("history.csv", marks=pytest.mark.slow),
    ],
)
def test_kill_and_repeat_leads_to_the_same_weights(
    tool, distilled, tmp_path, moment
):
    command, folder, _ = distilled
    command = [*command, f"--work_dir={tmp_path}"]
    if moment.startswith("auxiliary"):
        for finished in ("teacher", "student_alone"):
            shutil.copytree(folder / finished, tmp_path / finished)
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


def test_evaluate(tool, distilled, tmp_path):
    _, folder, _ = distilled
    output = tool(
        "evaluate",
        f"--model={folder}/model.keras",
        f"--teacher={folder}/auxiliary/model.keras",
        f"--output={tmp_path}/scores.json",
        "--ranks=1,5",
        "--pruning_rate=0.5",
        *SMALL[:2],
    ).stdout
    assert "euclidean, reference protocol" in output
    record = json.loads((tmp_path / "scores.json").read_text())
    found, lacking = record["scores"], record["unexplained"]
    assert f"{lacking['tap_1']['folded_l1']:.3f}" in output
    for rankings in lacking.values():
        assert 0 < rankings["reconstruction"] <= rankings["l1"] < 1
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


def test_report(tool, distilled):
    _, folder, _ = distilled
    dirs = f"--work_dirs={folder},{folder}/teacher"
    lines = tool("report", dirs, "--protocol=reference").stdout.splitlines()
    assert lines[2].startswith(f"{folder} (cnn_s, indistill)")
    assert lines[3].startswith(f"{folder}/teacher (cnn_a)")
    assert "reference protocol" in lines[-1]


@pytest.mark.long
def test_page_of_a_chain(tool, distilled, tmp_path):
    _, folder, _ = distilled
    page = f"--html={tmp_path}/report.html"
    lines = tool("report", f"--work_dirs={folder}", page).stdout.splitlines()
    # Of a single run all networks, the student last.
    assert lines[2].startswith("teacher (cnn_a)")
    assert lines[3].startswith("auxiliary (auxiliary, pkt)")
    assert lines[4].startswith("student, baseline (cnn_s, labels only)")
    assert lines[5].startswith("student (cnn_s, indistill)")
    assert lines[-1] == f"Page: {tmp_path}/report.html"
    text = (tmp_path / "report.html").read_text()
    assert "Embeddings of auxiliary" in text
    assert "Gain of each class over student, baseline" in text
    assert "No evaluation.npz" not in text
    # Runs of before lack the file; `evaluate` writes it.
    details = f"--details={tmp_path}/evaluation.npz"
    command = [f"--model={folder}/model.keras", *SMALL[:2]]
    tool(
        "evaluate", *command, f"--teacher={folder}/teacher/model.keras", details
    )
    written, recorded = (
        Details.read(place / "evaluation.npz") for place in (tmp_path, folder)
    )
    np.testing.assert_array_equal(written.points, recorded.points)
    np.testing.assert_array_equal(
        written.neighbour_images, recorded.neighbour_images
    )


@pytest.mark.long
def test_sweep(tool, distilled, tmp_path):
    _, folder, _ = distilled
    runs = tmp_path / "short.sweep"
    runs.write_text(
        f"--teacher={folder}/teacher/model.keras --student=cnn_s\n"
        f"{' '.join(SMALL)}  # of all\n\n"
        "# Two that run and one that cannot.\n"
        "crd: --method=crd --task_options=num_negatives=64 --epochs=1\n"
        "prepared: --method=factor_transfer --preparation=1 --epochs=2\n"
        "wrong: --method=okd --epochs=many\n"
    )
    arguments = (f"--runs={runs}", f"--work_dir={tmp_path}/sweep")
    process = tool("sweep", *arguments, check=False)
    assert process.returncode == 1
    assert "--epochs=many" in process.stderr
    assert "1 of the runs failed: wrong." in process.stderr
    assert "3 runs, 0 of them finished." in process.stdout
    table = (tmp_path / "sweep" / "table.txt").read_text()
    assert table in process.stdout
    assert "crd (cnn_s, crd)" in table
    assert "prepared (cnn_s, factor_transfer)" in table
    for name in ("crd", "prepared"):
        assert (tmp_path / "sweep" / name / "saved_model").exists()
    left = tool("sweep", *arguments, "--dry_run").stdout.splitlines()
    (line,) = [line for line in left if line.startswith("distill ")]
    assert line.endswith(f" --epochs=many --work_dir={tmp_path}/sweep/wrong")
    other = "--common=distill --flip=false"
    left = tool("sweep", *arguments, "--dry_run", other).stdout
    assert left.count("\ndistill ") == 2
