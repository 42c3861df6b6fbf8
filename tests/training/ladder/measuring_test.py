import pytest

from indistill_tf import evaluation
from indistill_tf.deploy import litert
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError
from indistill_tf.training.ladder import measuring


@pytest.fixture(scope="module")
def deployable(build, small_images):
    return Deployable(build("cnn_s"), small_images.preprocessing)


@pytest.fixture(scope="module")
def file(deployable):
    return litert.convert(deployable, "float32")


@pytest.mark.long
def test_scores_of_a_float_file_are_those_of_its_network(
    build, small_images, tmp_path
):
    network = build("cnn_s")
    deployable = Deployable(network, small_images.preprocessing)
    file = litert.convert(deployable, "float32")
    found = measuring.scores(file, deployable, small_images)
    expected = evaluation.score(network, small_images)
    assert found["accuracy"] == expected["accuracy"]
    retrieval = expected["retrieval"]["cosine"]["standard"]
    for name in ("map", "p@1", "p@10", "p@100"):
        assert found[name] == pytest.approx(retrieval[name], abs=1e-3)


def test_speeds(deployable, file):
    batch = litert.convert(deployable, "float32", batch=measuring.BATCH)
    found = measuring.speeds({"a": file}, {"a": batch}, repeats=20)
    assert len(found["load"]) == 2
    one = found["files"]["a"]["threads_1"]
    assert 0 < one["minimum"] <= one["median"] <= one["p95"]
    assert found["files"]["a"]["images_per_second"] > 0


def test_memory(file, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(file)
    # More than its weights, less than an interpreter.
    assert len(file) < measuring.resident_bytes(path) < 50e6
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"a.tflite cannot be run \("):
        measuring.resident_bytes(path)
