import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import checksums
from indistill_tf.errors import UserError


@pytest.fixture(scope="module")
def trained(tiny):
    distiller = tiny.make(method="pkt")
    tiny.fit(distiller, epochs=1)
    return distiller


def test_a_saved_distiller_is_its_student(tiny, trained, tmp_path):
    trained.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    images, labels = tiny.data
    expected = trained.predict(images, verbose=0)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    loaded.compile(loss="sparse_categorical_crossentropy")
    assert loaded.evaluate(images, labels, verbose=0) > 0


def test_the_best_student_comes_back(tiny, trained, tmp_path):
    other = tiny.make(method="pkt")
    trained.save(tmp_path / "a.keras")
    other.load_weights(tmp_path / "a.keras")
    for mine, theirs in zip(other.student.weights, trained.student.weights):
        np.testing.assert_array_equal(mine, theirs)


def test_export_speaks_for_the_student(tiny, trained, tmp_path):
    trained.export(tmp_path / "a", verbose=False)
    served = tf.saved_model.load(tmp_path / "a")
    np.testing.assert_allclose(
        served.serve(tiny.data[0]),
        trained.predict(tiny.data[0], verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_weights_hold_the_whole_training(tiny, trained, tmp_path):
    other = tiny.make(method="pkt")
    other.build_optimizer()
    trained.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    for mine, theirs in zip(
        other.variables + other.optimizer.variables,
        trained.variables + trained.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_changed_bit_of_the_weights_is_refused(tiny, trained, tmp_path):
    first, second = (tmp_path / f"{name}.weights.h5" for name in "ab")
    for path in (first, second, first):
        trained.save_weights(path)
    lines = (tmp_path / checksums.SUMS).read_text().splitlines()
    assert [line[66:] for line in lines] == [second.name, first.name]
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    with pytest.raises(UserError, match="a.weights.h5 is not what it was"):
        trained.load_weights(first)
    trained.load_weights(second)


def test_killed_while_saving_no_old_checksum_is_left(trained, tmp_path):
    path = tmp_path / "a.weights.h5"
    trained.save_weights(path)
    with pytest.raises(KeyboardInterrupt), checksums.writing_sum(path):
        path.write_bytes(b"another")
        raise KeyboardInterrupt
    assert (tmp_path / checksums.SUMS).read_text() == ""


@pytest.mark.parametrize(
    "use",
    [
        lambda distiller, path: distiller.get_config(),
        lambda distiller, path: distiller.to_json(),
        lambda distiller, path: keras.models.clone_model(distiller),
        lambda distiller, path: keras.saving.save_model(distiller, path),
        lambda distiller, path: copy.deepcopy(distiller),
    ],
    ids=["get_config", "to_json", "clone_model", "save_model", "deepcopy"],
)
def test_one_line_points_to_the_student(trained, tmp_path, use):
    with pytest.raises(UserError, match="^A distiller has .*distiller.student"):
        use(trained, tmp_path / "a.keras")
