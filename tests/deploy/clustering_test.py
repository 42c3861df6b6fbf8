import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import deploy
from indistill_tf.errors import UserError


def test_clusters_move_as_one():
    vector = keras.Input((4,))
    model = keras.Model(vector, layers.Dense(2, name="dense")(vector))
    kernel = [[0.0, 1.0], [0.1, 1.1], [0.2, 1.2], [0.3, 1.3]]
    model.get_layer("dense").kernel.assign(kernel)
    clone = deploy.clustered(model, clusters=2)
    layer = clone.get_layer("dense")
    np.testing.assert_allclose(layer.kernel, [[0.15, 1.15]] * 4, atol=1e-6)
    clone.compile(keras.optimizers.SGD(1.0), "mse")
    # Only the first row has a gradient, and each cluster moves by a quarter.
    x = np.array([[1.0, 0.0, 0.0, 0.0]], "float32")
    clone.train_on_batch(x, np.array([[0.15 + 0.2, 1.15 - 0.4]]))
    expected = [[0.15 + 0.05, 1.15 - 0.1]] * 4
    np.testing.assert_allclose(layer.kernel, expected, atol=1e-6)
    plain = deploy.strip(clone)
    np.testing.assert_array_equal(plain.get_layer("dense").kernel, layer.kernel)


def test_every_kernel_has_few_values(build):
    student = build("cnn_s")
    clone = deploy.clustered(student)
    for name in ("conv1", "conv3", "fc1"):
        kernel = clone.get_layer(name).kernel.numpy()
        assert len(np.unique(kernel)) == 16
        error = kernel - student.get_layer(name).kernel.numpy()
        assert error.std() < 0.15 * kernel.std()


def test_fewer_weights_than_clusters():
    vector = keras.Input((2,))
    model = keras.Model(vector, layers.Dense(2, name="dense")(vector))
    before = model.get_layer("dense").kernel.numpy()
    clone = deploy.clustered(model)
    np.testing.assert_allclose(clone.get_layer("dense").kernel, before)


def test_clusters_are_read_with_the_weights(build, tmp_path):
    clone = deploy.clustered(build("cnn_s"))
    clone.save_weights(tmp_path / "clone.weights.h5")
    fresh = deploy.clustered(build("cnn_s"))
    fresh.load_weights(tmp_path / "clone.weights.h5")
    for name in ("conv2", "fc1"):
        choice = clone.get_layer(name).choice.numpy()
        assert choice.max() == 15
        np.testing.assert_array_equal(fresh.get_layer(name).choice, choice)


def test_too_few_clusters(build):
    with pytest.raises(UserError, match="Received: clusters=1"):
        deploy.clustered(build("cnn_s"), clusters=1)
