"""What needs a finished run of tools/distill.py."""

import json
import shutil

import pytest

from indistill_tf.training import history


@pytest.fixture(scope="module")
def ladder(tool, distilled, tmp_path_factory):
    """A ladder of a finished run: its command and what it printed."""
    _, folder, _ = distilled
    output = tmp_path_factory.mktemp("ladder")
    command = [
        f"--work_dir={folder}",
        f"--output={output}",
        "--epochs=1",
        "--learning_rate=0.0005",
    ]
    rungs = "--rungs=auxiliary,student,int8,sparse_2_4_int8"
    return command, output, tool("compress", *command, rungs).stdout


@pytest.mark.long
def test_table_and_record(ladder, distilled):
    _, output, text = ladder
    names = ["auxiliary", "student", "int8", "control", "sparse_2_4_int8"]
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0][2:] for row in rows[1:]] == names
    # The run's own images and recipe.
    assert "100 test images, retrieval among 400 training images" in text
    record = json.loads((output / "ladder.json").read_text())
    assert record["recipe"]["batch_size"] == 64
    assert record["recipe"]["learning_rate"] == 0.0005
    assert record["method"] == "pkt"
    hop = json.loads((output / "sparse_2_4" / "result.json").read_text())
    _, folder, _ = distilled
    student = json.loads((folder / "result.json").read_text())
    # The auxiliary still teaches.
    assert hop["teacher_checksum"] == student["teacher_checksum"]
    assert hop["compression"] == "sparse_2_4"
    files = {path.name for path in output.iterdir()}
    assert files >= {"ladder.md", "ladder.png", "int8.tflite"}


@pytest.mark.long
def test_more_rungs_later(tool, ladder):
    command, output, _ = ladder
    before = (output / "control" / "result.json").stat().st_mtime_ns
    text = tool("compress", *command, "--rungs=student,int4_qat").stdout
    assert "control: finished before, not trained again" in text
    assert (output / "control" / "result.json").stat().st_mtime_ns == before
    assert "| int4_qat | yes |" in text
    done = tool("compress", *command, "--epochs=2", check=False)
    assert "holds a run with other flags (- --epochs=1" in done.stderr


@pytest.mark.long
def test_goes_on_as_trained(tool, distilled, tmp_path):
    _, folder, _ = distilled
    run = shutil.copytree(folder, tmp_path / "run")
    recorded = (run / "flags.txt").read_text()
    assert "--objective=classification\n--" in recorded
    recorded = recorded.replace("=classification\n", "=retrieval\n")
    recorded = recorded.replace("--supervised_weight=1.0\n", "")
    recorded = recorded.replace(
        "--task_options=\n", "--task_options=temperature=0.5\n"
    )
    (run / "flags.txt").write_text(f"{recorded}--task=similarity_okd\n")
    command = ["compress", f"--work_dir={run}", "--epochs=1", "--rungs=control"]
    tool(*command)
    output = run / "compress"
    record = json.loads((output / "ladder.json").read_text())
    # Without the curriculum, and without labels.
    assert record["method"] == "similarity_okd"
    (row,) = history.read_history(output / "control")
    assert row["loss"] == pytest.approx(row["loss/task"], 1e-5)
    flags = (output / "flags.txt").read_text().splitlines()
    assert {"--method=as_trained", "--task_options=temperature=0.5"} <= {*flags}
    # The same command is the same ladder; what is given now wins.
    assert "finished before" in tool(*command).stdout
    done = tool(*command, "--task_options=teacher_t=1", check=False)
    assert "'teacher_t'" in done.stderr
    assert "option of SimilarityWithClasses" in done.stderr


@pytest.mark.long
def test_labels_go_on_from_labels(tool, distilled, tmp_path):
    _, folder, _ = distilled
    run = shutil.copytree(folder, tmp_path / "run") / "student_alone"
    tool("compress", f"--work_dir={run}", "--epochs=1", "--rungs=control")
    result = run / "compress" / "control" / "result.json"
    assert json.loads(result.read_text())["teacher_checksum"] is None


@pytest.mark.long
def test_labels_alone(tool, ladder, distilled, tmp_path):
    _, folder, _ = distilled
    shutil.copytree(folder, tmp_path / "run")
    text = tool(
        "compress",
        f"--work_dir={tmp_path}/run",
        "--epochs=1",
        "--method=none",
        "--rungs=control",
    ).stdout
    assert "control: 1, from labels." in text
    result = tmp_path / "run" / "compress" / "control" / "result.json"
    assert json.loads(result.read_text())["teacher_checksum"] is None


def test_no_run(tool, tmp_path):
    done = tool("compress", f"--work_dir={tmp_path}/none", check=False)
    assert f"{tmp_path}/none holds no finished run: flags" in done.stderr
