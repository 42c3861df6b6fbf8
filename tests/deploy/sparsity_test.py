import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import Distiller
from indistill_tf import deploy
from indistill_tf.errors import UserError


def zeros(kernel):
    return float(np.mean(np.asarray(kernel) == 0))


def classifier(width=8):
    vector = keras.Input((width,))
    x = layers.Dense(8, "relu", name="hidden")(vector)
    return keras.Model(vector, layers.Dense(4, name="logits")(x))


def trained(model, sparsity, epochs=4, width=8, **options):
    clone = deploy.sparse(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    clone.compile(keras.optimizers.Adam(0.01), loss)
    x = np.random.default_rng(0).normal(size=(64, width)).astype("float32")
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(
            zeros(clone.get_layer("hidden").kernel)
        )
    )
    clone.fit(
        x,
        np.arange(64) % 4,
        batch_size=16,
        epochs=epochs,
        verbose=0,
        callbacks=[deploy.PruningCallback(clone, sparsity), look],
        **options,
    )
    return clone, seen


def test_sparsity_rises_to_the_middle_by_the_cube():
    clone, seen = trained(classifier(), 0.75)
    # Of 16 steps the ninth reaches 0.75; the fourth is 3/8 of the way there:
    # 0.75 * (1 - (5/8)^3) = 0.567 of 64 weights leave 28.
    assert seen == [36 / 64, 0.75, 0.75, 0.75]
    assert zeros(deploy.strip(clone).get_layer("logits").kernel) == 0.75


def test_two_of_four_neighbours_from_the_first_step_on():
    clone, seen = trained(classifier(), "2:4", epochs=2)
    assert seen == [0.5, 0.5]
    kernel = deploy.strip(clone).get_layer("hidden").kernel.numpy()
    groups = np.reshape(kernel.T, (-1, 4))
    np.testing.assert_array_equal((groups == 0).sum(axis=1), 2)


def test_the_largest_stay():
    model = classifier()
    kernel = np.arange(1.0, 65.0, dtype="float32").reshape(8, 8)
    model.get_layer("hidden").kernel.assign(kernel)
    clone, _ = trained(model, "2:4", epochs=1)
    kept = deploy.strip(clone).get_layer("hidden").kernel.numpy() != 0
    np.testing.assert_array_equal(kept[:, 0], [0, 0, 1, 1, 0, 0, 1, 1])
    assert kept[:, 0].tolist() == kept[:, 7].tolist()


def test_convolutions_are_sparse_along_their_input(build, batch):
    clone = deploy.sparse(build("cnn_s"))
    distiller = Distiller(teacher=build("cnn_a"), student=clone, method="pkt")
    distiller.compile(optimizer="adam")
    distiller.fit(
        *batch,
        epochs=1,
        verbose=0,
        callbacks=[deploy.PruningCallback(clone, "2:4")],
    )
    plain = deploy.strip(clone)
    groups = np.reshape(
        np.transpose(plain.get_layer("conv3").kernel, (3, 0, 1, 2)), (-1, 4)
    )
    np.testing.assert_array_equal((groups == 0).sum(axis=1), 2)
    # A single grey value has no neighbours.
    assert zeros(plain.get_layer("conv1").kernel) == 0.0


def test_a_constraint_of_the_user_stays():
    vector = keras.Input((8,))
    limit = keras.constraints.MaxNorm(0.5)
    dense = layers.Dense(4, kernel_constraint=limit, name="hidden")
    clone, _ = trained(keras.Model(vector, dense(vector)), 0.5, epochs=2)
    kernel = deploy.strip(clone).get_layer("hidden").kernel.numpy()
    assert np.linalg.norm(kernel, axis=0).max() <= 0.5 + 1e-6
    assert zeros(kernel) == 0.5


@pytest.mark.parametrize("sparsity", [1.0, 50, "4:2"])
def test_wrong_sparsity(sparsity):
    clone = deploy.sparse(classifier())
    with pytest.raises(UserError, match=f"Received: sparsity={sparsity!r}"):
        deploy.PruningCallback(clone, sparsity)


def test_unknown_steps():
    callback = deploy.PruningCallback(deploy.sparse(classifier()), 0.5)
    callback.set_params({"epochs": 2, "steps": None})
    with pytest.raises(UserError, match="Give `fit` `steps_per_epoch`"):
        callback.on_train_begin()
