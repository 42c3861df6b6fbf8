import contextlib
import json
import logging
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As the tools do.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import pytest

import indistill_tf
from indistill_tf import methods
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.distillation.schedules import TwoStage
from indistill_tf_tools import stand_ins

ROOT = pathlib.Path(__file__).parents[1]


def pytest_configure():
    # It warns of functions that are traced again, whichever test did it.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Two CPU devices, so that replicas can be tested without a GPU. It must
    # happen before TensorFlow touches its devices.
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@contextlib.contextmanager
def running_eagerly():
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def eagerly():
    """A context in which steps are run one operation at a time.

    For few steps, of which tracing would take nearly all the time. What a
    compiled step does, other tests say.
    """
    return running_eagerly


@pytest.fixture
def eager(eagerly):
    """Runs a test's steps one operation at a time."""
    with eagerly():
        yield


@pytest.fixture(scope="session")
def mirrored():
    """A strategy with two replicas.

    There is one for all tests: two strategies in one process would use the
    same collective keys.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def golden():
    """Reads a fixture; INDISTILL_TF_GOLDEN names a folder with larger ones."""
    folder = os.environ.get("INDISTILL_TF_GOLDEN")
    folder = pathlib.Path(folder or pathlib.Path(__file__).parent / "golden")

    def read(name):
        path = folder / f"{name}.npz"
        if not path.exists():
            pytest.skip(f"{path} is not part of the repository")
        with np.load(path) as file:
            return dict(file)

    return read


@pytest.fixture(scope="session")
def small_images():
    """Real images: 600 to train on and 200 to test on."""
    return indistill_tf.data.load(
        train_split="train[:600]", test_split="test[:200]"
    )


@pytest.fixture(scope="session")
def build(small_images):
    """Builds a network for the small images."""

    def build(name):
        return indistill_tf.models.build(
            name, small_images.input_shape, small_images.num_classes
        )

    return build


@pytest.fixture
def shortened():
    """Returns a row of the table with one epoch for each of its stages."""

    def shortened(name, **changes):
        row = methods.METHODS[name]
        schedules = {Curriculum: Curriculum(1, 0), TwoStage: TwoStage(1)}
        return methods.get(
            name,
            schedule=schedules.get(type(row.schedule)),
            preparation=1 if row.preparation else None,
            **changes,
        )

    return shortened


@pytest.fixture(scope="session")
def batch(small_images):
    """64 normalised images and their labels."""
    images = small_images.preprocessing(small_images.train.images[:64])
    return np.asarray(images), small_images.train.labels[:64]


@pytest.fixture(scope="session")
def tiny_sets(tmp_path_factory):
    """A folder with small stand-ins for three official sets."""
    folder = tmp_path_factory.mktemp("tiny_sets")
    for name, shards in (
        ("imagenet2012", 5),
        ("caltech_birds2011", 2),
        ("cifar10", 1),
    ):
        stand_ins.write_tiny(name, folder, 48, 12, shards=shards)
    return folder


@pytest.fixture(scope="session")
def run_warm(tmp_path_factory):
    """Runs a command in a process that has imported TensorFlow already."""
    folder = tmp_path_factory.mktemp("output")
    stdout, stderr = folder / "stdout", folder / "stderr"
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "tools" / "warm_process.py"],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def run_warm(arguments, folder=ROOT):
        files = {"stdout": str(stdout), "stderr": str(stderr)}
        request = {"arguments": arguments, "folder": str(folder), **files}
        print(json.dumps(request), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(
            arguments, status, stdout.read_text(), stderr.read_text()
        )

    yield run_warm
    server.communicate()


@pytest.fixture(scope="session")
def console(run_warm):
    """Runs the command `indistill_tf` in a folder, such as a user's."""
    script = str(ROOT / "tools" / "__main__.py")

    def console(*arguments, folder):
        return run_warm([script, *map(str, arguments)], folder)

    return console
