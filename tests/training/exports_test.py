import importlib.util
import json
import re
import subprocess
import sys

import keras
import pytest
import yaml
from keras import layers

from indistill_tf import deploy
from indistill_tf import training
from indistill_tf.errors import UserError
from indistill_tf.training import work_directory
from indistill_tf.training.export_check import ExportCheck

ALL = list(deploy.FORMATS)
needs_packages = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("ai_edge_litert", "tf2onnx"))),
    reason="needs the extra `deploy`",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_images):
    """A folder with what a finished run leaves, of a network untrained."""
    folder = tmp_path_factory.mktemp("run")
    images = keras.Input((32, 32, 1))
    x = layers.Conv2D(8, 5, strides=3, activation="relu")(images)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(10, kernel_initializer="orthogonal")(x)
    keras.Model(images, x, name="tiny").save(folder / "model.keras")
    retrieval = {"cosine": {"standard": {"map": 0.5, "p@10": 0.625}}}
    result = {
        "model": "tiny",
        "method": "pkt",
        "checksum": "c0ffee",
        "teacher_checksum": "7eac4e5",
        "scores": {"accuracy": 0.75, "retrieval": retrieval},
        "images": small_images.describe(),
    }
    work_directory.write_json(folder / "result.json", result)
    teacher = {"model": "cnn_a", "scores": {"accuracy": 0.875}}
    (folder / "teacher").mkdir()
    work_directory.write_json(folder / "teacher" / "result.json", teacher)
    return folder


@pytest.fixture(scope="module")
def exported(run, small_images, tmp_path_factory):
    """All formats, checked, in a folder of their own."""
    folder = tmp_path_factory.mktemp("exported")
    exports = training.export_run(
        run, folder / "saved_model", ALL, small_images, checked_images=20
    )
    return folder, exports


@pytest.mark.long
@needs_packages
@pytest.mark.parametrize("name", ALL)
def test_every_format_answers_as_the_network_does(exported, name):
    _, exports = exported
    check = exports[name].record["check"]
    assert (check["images"], check["database"]) == (20, 200)
    least = 0.98 if name == "litert_int4" else 0.999
    assert least < check["cosine"] < 1.00001
    if name in ("saved_model", "litert", "onnx", "keras"):
        assert check["difference"] < 1e-5
        assert check["accuracy"] == check["network"]["accuracy"]


@pytest.mark.long
@needs_packages
def test_record_of_exports(exported):
    folder, exports = exported
    record = json.loads((folder / "exports.json").read_text())
    assert list(record["exports"]) == ALL
    assert record["checksum"] == "c0ffee"
    int8 = folder / "student_int8.tflite"
    assert exports["litert_int8"].path == int8
    assert record["exports"]["litert_int8"]["bytes"] == int8.stat().st_size
    assert (
        "saved_model/variables/variables.index"
        in (record["exports"]["saved_model"]["sha256"])
    )


@pytest.mark.long
@needs_packages
def test_a_damaged_file_is_found(exported):
    folder, _ = exported
    training.verify_exports(folder)
    path = folder / "student_fp16.tflite"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    try:
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="fp16.tflite is damaged: its SHA"):
            training.verify_exports(folder)
        path.unlink()
        with pytest.raises(UserError, match="fp16.tflite is missing"):
            training.verify_exports(folder)
    finally:
        path.write_bytes(whole)


@pytest.mark.long
@needs_packages
def test_code_of_the_card_runs(exported):
    folder, _ = exported
    card = (folder / "README.md").read_text()
    images, *blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        script = f"{images}\n{block}\nprint(np.shape(embedding))"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.stdout.splitlines()[-1:] == ["(2, 8)"], done.stderr


@pytest.mark.long
@needs_packages
def test_card_says_what_the_records_say(exported):
    folder, exports = exported
    card = (folder / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["datasets"] == ["embedded"]
    (scores,) = fields["model-index"][0]["results"]
    assert scores["metrics"][0] == {"type": "accuracy", "value": 75.0}
    assert "# tiny, distilled by pkt" in body
    assert "Teacher: cnn_a, accuracy 87.50 %; SHA-256" in body
    assert "| 75.00 | 50.00 | 62.50 |" in body
    (checksum,) = exports["onnx"].record["sha256"].values()
    assert f"{checksum}  student.onnx" in body


def test_exports_of_other_formats_stay_in_the_record(run, tmp_path):
    for name in ("saved_model", "keras"):
        training.export_run(run, tmp_path / "saved_model", [name])
    record = json.loads((tmp_path / "exports.json").read_text())
    assert list(record["exports"]) == ["saved_model", "keras"]
    assert "check" not in record["exports"]["keras"]


def test_an_export_that_fails_its_check_is_not_recorded(
    run, small_images, tmp_path, monkeypatch
):
    def measure(self, exported, path):
        if exported.name == "keras":
            raise UserError(f"{path} differs from its network.")
        return {"images": 20, "database": 200}

    monkeypatch.setattr(ExportCheck, "measure", measure)
    with pytest.raises(UserError, match="pixels.keras differs"):
        training.export_run(
            run,
            tmp_path / "saved_model",
            ["keras", "saved_model"],
            small_images,
            checked_images=20,
        )
    record = json.loads((tmp_path / "exports.json").read_text())
    assert list(record["exports"]) == ["saved_model"]


def test_an_unknown_format_is_refused_before_any_is_written(run, tmp_path):
    with pytest.raises(UserError, match="Unknown format: 'coreml'"):
        training.export_run(run, tmp_path / "e", ["saved_model", "coreml"])
    assert not list(tmp_path.iterdir())


def test_a_format_whose_package_is_missing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"package tf2onnx is not installed. Install it: pip .*\[deploy\]"
    with pytest.raises(UserError, match=message):
        training.export_run(run, tmp_path / "e", ["saved_model", "onnx"])
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(UserError, match="holds no finished run"):
        training.export_run(tmp_path / "mistyped")
