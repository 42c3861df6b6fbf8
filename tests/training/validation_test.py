"""mAP of the validation split, in training."""

import dataclasses

import numpy as np
import pytest

from indistill_tf import evaluation
from indistill_tf.errors import UserError
from indistill_tf.training import Distillation
from indistill_tf.training import Hop
from indistill_tf.training import Network
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training import checkpoint
from indistill_tf.training import history
from indistill_tf.training import hop


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def images(small_images):
    return dataclasses.replace(small_images, validation=small_images.test)


@pytest.fixture
def teacher(build):
    return build("cnn_a")


@pytest.fixture
def run(build, teacher, images, unscored):
    def run(folder, **options):
        # A bottleneck draws random numbers in every step.
        how = Distillation("okd", information_bottleneck=0.01)
        recipe = Recipe(epochs=3, drop_epochs=(2,))
        step = Hop(Network(lambda: build("cnn_s")), recipe, how)
        return hop.run_hop(Run(folder, images, **options), step, teacher)[0]

    return run


def weights_equal(first, second):
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.long
def test_training_goes_on_as_without_it(
    tmp_path, run, teacher, images, monkeypatch
):
    alone = run(tmp_path / "alone")
    watched = run(tmp_path / "watched", evaluate_every=2)
    weights_equal(alone, watched)
    rows = history.read_history(tmp_path / "watched")
    assert [row["epoch"] for row in rows if "val_map" in row] == [1, 2]
    assert all("val_accuracy" in row for row in rows)
    plain = history.read_history(tmp_path / "alone")
    assert not any("val_map" in row for row in plain)
    # The last one is of the network that is saved.
    split = images.validation, images.train
    queries, database = (
        evaluation.outputs(watched, x, images.preprocessing)["embedding"]
        for x in split
    )
    expected = evaluation.retrieval(
        queries, split[0].labels, database, split[1].labels
    )
    assert rows[-1]["val_map"] == expected.mean_average_precision
    targets = evaluation.outputs(teacher, split[0], images.preprocessing)
    flow = evaluation.information_flow(targets["embedding"], queries)
    assert rows[-1]["val_information_flow"] == flow.sum

    save = checkpoint.Checkpoint.on_epoch_end

    def killed_in_the_third(self, epoch, logs=None):
        if epoch == 2:
            raise Killed
        save(self, epoch, logs)

    with monkeypatch.context() as patched:
        name = "on_epoch_end"
        patched.setattr(checkpoint.Checkpoint, name, killed_in_the_third)
        with pytest.raises(Killed):
            run(tmp_path / "killed", evaluate_every=2)
    weights_equal(run(tmp_path / "killed", evaluate_every=2), watched)
    resumed = history.read_history(tmp_path / "killed")
    assert [x.get("val_map") for x in resumed] == [
        x.get("val_map") for x in rows
    ]


def test_no_validation_split(tmp_path, small_images):
    message = "`evaluate_every=2` needs a validation split"
    with pytest.raises(UserError, match=message):
        Run(tmp_path, small_images, evaluate_every=2)


def test_no_epochs(tmp_path, images):
    with pytest.raises(UserError, match="at least 1, or None. Received: 0"):
        Run(tmp_path, images, evaluate_every=0)
