import numpy as np
import pytest

from indistill_tf.deploy import FORMATS
from indistill_tf.deploy import probe
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError
from indistill_tf.training.export_check import ExportCheck


@pytest.fixture(scope="module")
def check(build, small_images):
    deployable = Deployable(build("cnn_s"), small_images.preprocessing)
    return ExportCheck(deployable, small_images, 20)


def measured(check, monkeypatch, change):
    answers = {
        name: change(name, values.copy())
        for name, values in check._expected.items()
    }
    monkeypatch.setattr(probe, "answers", lambda *_: [answers])
    return check.measure(FORMATS["litert"], "student.tflite")


def test_the_same_answers(check, monkeypatch):
    found = measured(check, monkeypatch, lambda name, values: values)
    assert (found["agreement"], found["difference"]) == (1, 0)
    assert found["map"] == found["network"]["map"] > 0.1


def test_other_embeddings(check, monkeypatch):
    def change(name, values):
        return values[::-1] if name == "embedding" else values

    message = r"student.tflite differs from its network: cosine of embeddings "
    with pytest.raises(UserError, match=message):
        measured(check, monkeypatch, change)


def test_answers_that_are_not_finite(check, monkeypatch):
    def change(name, values):
        return np.full_like(values, np.nan)

    with pytest.raises(UserError, match="student.tflite: .* are not finite"):
        measured(check, monkeypatch, change)
