import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import Distiller
from indistill_tf import methods
from indistill_tf import rankings
from indistill_tf.errors import UserError
from indistill_tf.graph import counterparts
from indistill_tf.graph import pruned_maps
from indistill_tf.graph import taps


def channelwise(factors, activation=None):
    """A map whose channel i is `factors[i]` times the one of the image."""
    inputs = keras.Input((4, 4, 1))
    outputs = layers.Conv2D(
        len(factors), 1, use_bias=False, activation=activation
    )(inputs)
    model = keras.Model(inputs, outputs)
    model.set_weights([np.array(factors, "float32").reshape(1, 1, 1, -1)])
    return outputs


def images(seed=0, channels=1, count=64):
    drawn = np.random.default_rng(seed).normal(size=(count, 4, 4, channels))
    return drawn.astype("float32")


def test_energy_is_the_variance_over_images_and_positions():
    x = images()
    np.testing.assert_allclose(
        rankings.Energy(x)(channelwise([1.0, -3.0, 0.5])),
        np.var(x) * np.array([1, 9, 0.25]),
        rtol=1e-5,
    )


def test_energy_looks_behind_the_activation():
    # A filter of the highest norm whose channel is never above zero.
    tensor = channelwise([1.0, 0.5, -3.0], "relu")
    x = np.abs(images())
    assert np.argmax(pruned_maps.channel_scores(tensor)) == 2
    scores = rankings.Energy(x)(tensor)
    assert scores[2] == 0
    assert np.argmax(scores) == 0


def test_an_offset_is_no_energy():
    inputs = keras.Input((4, 4, 1))
    tensor = layers.Rescaling(1.0, offset=100.0)(inputs)
    x = images()
    np.testing.assert_allclose(
        rankings.Energy(x)(tensor), [np.var(x)], rtol=1e-3
    )


def test_reconstruction_takes_no_channel_twice():
    # Three channels of one pixel's value, and one of another's: whatever the
    # sizes, two channels tell all.
    inputs = keras.Input((4, 4, 2))
    conv = layers.Conv2D(4, 1, use_bias=False)
    tensor = conv(inputs)
    conv.set_weights(
        [np.array([[5.0, 4.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.1]])[None, None]]
    )
    x = images(channels=2)
    assert set(np.argsort(pruned_maps.channel_scores(tensor))[-2:]) == {0, 1}
    scores = rankings.Reconstruction(x)(tensor)
    first, second = np.argsort(scores)[::-1][:2]
    assert first in (0, 1, 2)
    assert second == 3
    assert sorted(scores) == [1, 2, 3, 4]


def test_the_order_leaves_the_least_of_each_step_by_brute_force():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 6))
    values += 0.1 * rng.normal(size=values.shape)
    values -= values.mean(axis=0)

    def left(columns):
        fit = np.linalg.lstsq(values[:, columns], values, rcond=None)[0]
        return np.square(values - values[:, columns] @ fit).sum()

    chosen = []
    for _ in range(6):
        others = [i for i in range(6) if i not in chosen]
        chosen.append(min(others, key=lambda i: left([*chosen, i])))
    order = rankings.explaining_most(values.T @ values / len(values))
    assert order.tolist() == chosen


def test_folded_norms_know_the_batch_normalisation():
    inputs = keras.Input((4, 4, 1))
    conv = layers.Conv2D(3, 1, use_bias=False)
    norm = layers.BatchNormalization(epsilon=0.0)
    tensor = layers.ReLU()(norm(conv(inputs)))
    conv.set_weights([np.array([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)])
    gamma, variance = np.array([-6.0, 1.0, 1.0]), np.array([4.0, 1.0, 9.0])
    norm.set_weights([gamma, np.zeros(3), np.zeros(3), variance])
    # 1 * 6 / 2, 2 * 1 / 1, 3 * 1 / 3
    np.testing.assert_allclose(rankings.get("folded_l1")(tensor), [3, 2, 1])
    np.testing.assert_allclose(rankings.get("l1")(tensor), [1, 2, 3])


def test_folded_norms_of_dense_layers_and_concatenations():
    inputs = keras.Input((2,))
    dense = layers.Dense(1, use_bias=False)
    norm = layers.BatchNormalization(scale=False, epsilon=0.0)
    tensor = layers.Concatenate()([norm(dense(inputs)), dense(inputs)])
    dense.set_weights([np.array([[1.0], [3.0]])])
    norm.set_weights([np.zeros(1), np.zeros(1), np.array([16.0])])
    np.testing.assert_allclose(rankings.get("folded_l1")(tensor), [1, 4])


@pytest.mark.parametrize("name", ["folded_l1", "energy", "reconstruction"])
def test_maps_and_closed_form_keep_the_same_channels(build, name):
    teacher, student = build("cnn_a"), build("cnn_s")
    for layer in teacher.layers:
        if isinstance(layer, layers.BatchNormalization):
            # So that the ranking has something to say.
            layer.gamma.assign(np.linspace(2, 0.1, layer.gamma.shape[0]))
    shape = (32, *teacher.input_shape[1:])
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    ranking = rankings.get(name) if name == "folded_l1" else None
    ranking = ranking or rankings.RANKINGS[name](x)
    pairs = taps.pair(teacher, student)
    kept = {
        part.layer.name: part.kept
        for part in counterparts.counterparts(teacher, student, pairs, ranking)
    }
    for number, layer in enumerate(("conv1", "conv2", "conv3"), start=1):
        target = teacher.get_layer(f"tap_{number}").output
        width = len(kept[layer])
        best = np.sort(np.argsort(ranking(target), kind="stable")[-width:])
        np.testing.assert_array_equal(kept[layer], best)


def test_a_distiller_keeps_the_channels_of_its_ranking(build):
    def last(tensor):
        return np.arange(tensor.shape[-1])

    distiller = Distiller(
        teacher=build("cnn_a"),
        student=build("cnn_s"),
        method=methods.get("indistill", ranking=last),
    )
    assert "ranked by last" in distiller.pairing
    assert any("-last" in name for name in distiller.target_names(0))


@pytest.mark.parametrize(
    "name, told",
    [
        ("energy", r"rankings\.Energy\(images\)"),
        ("reconstruction", r"rankings\.Reconstruction\(images\)"),
        ("l2", "Unknown ranking: 'l2'"),
    ],
)
def test_what_a_ranking_lacks_is_told(build, name, told):
    with pytest.raises(UserError, match=told):
        Distiller(
            teacher=build("cnn_a"),
            student=build("cnn_s"),
            method=methods.get("indistill", ranking=name),
        )
