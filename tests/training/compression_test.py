import numpy as np
import pytest

from indistill_tf import methods
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.training import COMPRESSIONS
from indistill_tf.training import Distillation
from indistill_tf.training import Hop
from indistill_tf.training import Network
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training import checkpoint
from indistill_tf.training import hop

# Ten steps an epoch, two calls of the compiled step.
RECIPE = Recipe(epochs=3, batch_size=60, drop_epochs=(2,))
# The most values that an output channel of a kernel may have.
VALUES = {"int8": 255, "int4": 15, "clusters_16": 16}
ZEROS = {"sparse_50": 0.5, "sparse_75": 0.75, "sparse_2_4": 0.5}
LONG = ("int4", "sparse_2_4")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def trained(build, tmp_path_factory):
    """A network, as a file holds it."""
    path = tmp_path_factory.mktemp("trained") / "model.keras"
    build("cnn_s").save(path)
    return path


def compressed(folder, path, images, name, teacher=None, seed=0):
    taught = teacher and Distillation(methods.get("pkt", supervised_weight=1))
    step = Hop(
        Network(lambda: models.load_model(path)),
        RECIPE,
        taught,
        compression=name,
    )
    return hop.run_hop(Run(folder, images, seed), step, teacher)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.long if name in LONG else pytest.mark.slow
        )
        for name in COMPRESSIONS
    ],
)
def test_resumed_equals_undisturbed(
    tmp_path, build, trained, small_images, monkeypatch, unscored, name
):
    # One of the two learns from labels alone.
    teacher = build("cnn_a") if name in ("int4", "sparse_75") else None
    options = (trained, small_images, name, teacher)
    network, expected = compressed(tmp_path / "a", *options)
    save = checkpoint.Checkpoint.on_epoch_end

    def save_and_die(self, epoch, logs=None):
        save(self, epoch, logs)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Checkpoint, "on_epoch_end", save_and_die)
        with pytest.raises(Killed):
            compressed(tmp_path / "b", *options)
    _, found = compressed(tmp_path / "b", *options)
    assert found["checksum"] == expected["checksum"]
    assert (found["compression"], found["epochs"]) == (name, 3)
    assert {
        type(layer).__module__.split(".")[0] for layer in network.layers
    } == {"keras"}
    kernel = network.get_layer("conv3").kernel.numpy()
    channels = np.reshape(kernel, (-1, 32)).T
    values = max(len(np.unique(channel)) for channel in channels)
    assert values <= VALUES.get(name, 16 * 9)
    if name in ZEROS:
        assert np.mean(kernel == 0) == ZEROS[name]


def test_unknown_compression(tmp_path, trained, small_images):
    with pytest.raises(UserError, match="Unknown compression: 'int2'"):
        compressed(tmp_path, trained, small_images, "int2")
