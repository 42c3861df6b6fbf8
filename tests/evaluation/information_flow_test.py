import numpy as np
import pytest

from indistill_tf import evaluation
from indistill_tf import losses


def test_mean_and_sum_over_batches():
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=(50, 8)).astype("float32")
    student = rng.normal(size=(50, 4)).astype("float32")
    parts = [slice(0, 20), slice(20, 40), slice(40, 50)]
    expected = [
        float(losses.probabilistic_jeffreys(teacher[part], student[part]))
        for part in parts
    ]
    flow = evaluation.information_flow(teacher, student, batch_size=20)
    assert flow.sum == pytest.approx(sum(expected), rel=1e-6)
    assert flow.mean == pytest.approx(sum(expected) / 3, rel=1e-6)
    assert (flow.batches, flow.batch_size) == (3, 20)


def test_equal_embeddings_lose_nothing():
    teacher = np.random.default_rng(0).normal(size=(30, 8)).astype("float32")
    assert evaluation.information_flow(teacher, teacher).sum < 1e-8
