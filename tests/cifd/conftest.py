import keras
import numpy as np
import pytest

from indistill_tf.cifd.architectures import Architecture
from indistill_tf.cifd.rdm import RateDistortionModules


@pytest.fixture(scope="session")
def mixture():
    """A mixture of 8 normals in 16 dimensions, and its ideal teacher.

    Training and validation parts, each `({"embedding", "logits"}, labels)`.
    """
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 16))
    labels = rng.integers(0, 8, 2000)
    embedding = centres[labels] + rng.normal(0, 0.8, (2000, 16))
    squared = ((embedding[:, None] - centres) ** 2).sum(-1)
    inputs = {
        "embedding": embedding.astype("float32"),
        "logits": (-squared / (2 * 0.8**2)).astype("float32"),
    }
    return [
        ({name: x[part] for name, x in inputs.items()}, labels[part])
        for part in (slice(None, 1000), slice(1000, None))
    ]


@pytest.fixture(scope="session")
def make():
    """Makes compiled modules for the mixture.

    Most of a short fit is the tracing of its step, the optimizer's above all;
    an eager step is cheaper for a few batches.
    """

    def make(trade_offs, optimizer="adam", rate=0.01, eager=False, **options):
        # The seed of each test comes too late for what modules share.
        keras.utils.set_random_seed(0)
        chosen = {"architecture": Architecture(32, 6, 32), "noise_seed": 0}
        modules = RateDistortionModules(
            trade_offs, 16, 8, **{**chosen, **options}
        )
        optimizer = {
            "adam": keras.optimizers.Adam(rate),
            "sgd": keras.optimizers.SGD(0.002),
        }[optimizer]
        modules.compile(
            optimizer=optimizer, run_eagerly=eager, jit_compile=False
        )
        return modules

    return make
