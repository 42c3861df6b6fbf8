import dataclasses
import logging

import numpy as np

from indistill_tf.training import PairTask
from indistill_tf.training.clip import teacher_score


def scored(task, monkeypatch, caplog, **scores):
    """What is logged of towers with these scores."""
    monkeypatch.setattr(PairTask, "score", lambda *_: scores)
    with caplog.at_level(logging.INFO, "indistill_tf"):
        teacher_score.measure(("image", "text"), task)
    (record,) = caplog.records
    return record.levelname, record.getMessage()


def test_scores(task, monkeypatch, caplog):
    recalls = {"image_to_text_r@1": 0.5, "text_to_image_r@1": 0.25}
    scores = {"zero_shot_accuracy": 0.75, **recalls, "parameters": [1, 2]}
    assert scored(task, monkeypatch, caplog, **scores) == (
        "INFO",
        "teacher: zero-shot accuracy 75.00 %, image to text R@1 50.00 %, "
        "text to image R@1 25.00 %, on 20 test images",
    )


def test_near_chance(task, monkeypatch, caplog):
    level, text = scored(task, monkeypatch, caplog, zero_shot_accuracy=0.1)
    most = np.bincount(task.captions.test.labels).max()
    assert level == "WARNING"
    assert f"near chance ({100 * most / 20:.2f} %)" in text


def test_without_classes_recall_counts(task, monkeypatch, caplog):
    captions = dataclasses.replace(task.captions, class_names=())
    bare = dataclasses.replace(task, captions=captions)
    recalls = {"image_to_text_r@1": 0.05, "text_to_image_r@1": 0.9}
    level, text = scored(bare, monkeypatch, caplog, **recalls)
    assert level == "WARNING"
    assert "near chance (5.00 %)" in text
