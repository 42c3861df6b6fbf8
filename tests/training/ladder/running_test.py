import json

import pytest

from indistill_tf import methods
from indistill_tf.deploy import weight_types
from indistill_tf.errors import UserError
from indistill_tf.training import Distillation
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training.ladder import measuring
from indistill_tf.training.ladder import reporting
from indistill_tf.training.ladder import rungs
from indistill_tf.training.ladder import running

RECIPE = Recipe(epochs=1, drop_epochs=())


def ladder(build, names, teacher="cnn_a", method="pkt"):
    networks = {"student": lambda: build("cnn_s")}
    if teacher:
        networks["teacher"] = lambda: build(teacher)
    taught = method and Distillation(methods.get(method, supervised_weight=1))
    return running.Ladder(rungs.chosen(names), networks, RECIPE, taught)


@pytest.mark.long
def test_ladder(tmp_path, build, small_images, unscored, monkeypatch, caplog):
    caplog.set_level("INFO", "indistill_tf")
    run = Run(tmp_path, small_images)
    names = ["auxiliary", "student", "int8", "int4_qat"]
    record = running.run_ladder(run, ladder(build, names))
    assert list(record["rungs"]) == ["student", "int8", "control", "int4_qat"]
    assert "auxiliary: the run has none" in caplog.text
    qat = record["rungs"]["int4_qat"]
    assert (qat["compression"], qat["hop"], qat["kind"]) == (
        "int4",
        "int4",
        "int4",
    )
    sizes = [rung["gzip_bytes"] for rung in record["rungs"].values()]
    assert sizes[3] < sizes[1] < sizes[0]
    file = (tmp_path / "int4_qat.tflite").read_bytes()
    types = [kernel.type for kernel in weight_types.kernels(file)]
    assert types == ["INT8", *["INT4"] * 4]
    hop = json.loads((tmp_path / "int4" / "result.json").read_text())
    assert (hop["compression"], hop["method"]) == ("int4", "pkt")

    text = reporting.table(record)
    assert text.splitlines()[0].startswith("| rung | epochs more | accuracy |")
    assert "200 test images, retrieval among 600" in text
    assert (
        "Epochs more, of trained rungs and of their control: 1, by pkt." in text
    )
    reporting.plot(record, tmp_path / "ladder.png")
    assert (tmp_path / "ladder.png").read_bytes()[1:4] == b"PNG"

    # What is done is read: only speeds are measured again.
    monkeypatch.setattr(measuring, "scores", None)
    again = running.run_ladder(run, ladder(build, names))
    for name, rung in again["rungs"].items():
        assert rung["sha256"] == record["rungs"][name]["sha256"]


def test_without_a_teacher(tmp_path, build, small_images, unscored):
    run = Run(tmp_path, small_images)
    with pytest.raises(UserError, match="The run has no teacher. Name one"):
        running.run_ladder(run, ladder(build, ["control"], teacher=None))
