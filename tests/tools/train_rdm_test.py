import json

import pytest

from indistill_tf import models

from .conftest import SMALL

IMAGES = SMALL[:2]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    models.build("cnn_s", (32, 32, 1), 10).save(path)
    return path


@pytest.mark.long
def test_modules_teach_a_student(tool, teacher, tmp_path):
    command = [
        f"--teacher={teacher}",
        "--trade_offs=1,0.1",
        "--epochs=1",
        "--options=density=gaussian",
        f"--work_dir={tmp_path / 'rdm'}",
        *IMAGES,
    ]
    output = tool("train_rdm", *command).stdout
    assert "module 2: R 0.1, accuracy " in output
    path = tmp_path / "rdm" / "modules.keras"
    assert output.rstrip().endswith(str(path))
    result = json.loads((tmp_path / "rdm" / "result.json").read_text())
    assert result["recipe"]["options"] == {"density": "gaussian"}
    assert result["held_out"] == 20
    output = tool(
        "distill",
        f"--teacher={teacher}",
        "--student=cnn_s",
        "--method=cifd",
        f"--task_options=modules={path},dropout=0.5",
        "--epochs=1",
        f"--work_dir={tmp_path / 'student'}",
        *SMALL,
    ).stdout
    assert "student (cnn_s, cifd)" in output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--options=dropout=1"], "Unknown option of modules: 'dropout'"),
        (["--options=ce_weight=much"], "of type float. Received: 'much'"),
        (["--trade_offs=1,-1"], "one number above 0 for each module"),
        (["--points_below=a"], "--points_below takes numbers, such as 2,4,8"),
        (["--architecture=round"], "Unknown architecture of modules: 'round'"),
        (["--teacher=missing.keras"], "no file missing.keras"),
    ],
)
def test_errors(tool, teacher, tmp_path, arguments, message):
    process = tool(
        "train_rdm",
        f"--teacher={teacher}",
        f"--work_dir={tmp_path / 'rdm'}",
        *IMAGES,
        *arguments,
        check=False,
    )
    assert process.returncode == 1
    assert len(process.stderr.strip().splitlines()) == 1
    assert message in process.stderr
