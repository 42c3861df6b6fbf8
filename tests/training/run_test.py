import pytest
from tensorflow.python.framework import config

from indistill_tf.training import Hop
from indistill_tf.training import Network
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training import hop


@pytest.fixture
def free():
    """Lets TensorFlow choose its operations again, afterwards."""
    yield
    config.disable_op_determinism()


@pytest.mark.usefixtures("eager", "free", "unscored")
@pytest.mark.parametrize("deterministic", [False, True])
def test_determinism_is_recorded_and_in_force(
    tmp_path, build, small_images, monkeypatch, deterministic
):
    found = []
    fit = hop.fit_on

    def fit_on(*args, **kwargs):
        found.append(config.is_op_determinism_enabled())
        fit(*args, **kwargs)

    monkeypatch.setattr(hop, "fit_on", fit_on)
    step = Hop(Network(lambda: build("cnn_s")), Recipe(epochs=1, max_steps=1))
    run = Run(tmp_path, small_images, deterministic=deterministic)
    _, result = hop.run_hop(run, step)
    assert found == [result["deterministic"]] == [deterministic]
