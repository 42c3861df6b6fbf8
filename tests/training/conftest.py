import pytest

from indistill_tf.evaluation import cost
from indistill_tf.training import hop


def _rung(accuracy, hop=None):
    times = {"median": 0.0125, "p95": 0.02, "minimum": 0.012}
    return {
        "accuracy": accuracy,
        "map": 0.25,
        "p@10": 0.75,
        "bytes": 26_704,
        "gzip_bytes": 18_506,
        "resident_bytes": 2048,
        "threads_1": times,
        "threads_2": times,
        "images_per_second": 4321.0,
        "hop": hop,
    }


@pytest.fixture
def ladder_record():
    """Makes the record of a ladder with a seed and accuracies of its own."""

    def ladder_record(seed, student, control):
        return {
            "rungs": {
                "student": _rung(student),
                "control": _rung(control, "control"),
            },
            "method": "pkt",
            "recipe": {"epochs": 5},
            "seed": seed,
            "load": [0.5, 1.0],
            "images": {"name": "mine", "train": 20, "test": 4},
            "device": "a <processor>",
        }

    return ladder_record


@pytest.fixture
def unscored(monkeypatch):
    """Spares the scores where they are not looked at."""
    monkeypatch.setattr(
        hop,
        "score",
        lambda model, *_, **__: {"parameters": cost.parameters(model)},
    )
