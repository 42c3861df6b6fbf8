import keras
import numpy as np
import pytest

from indistill_tf.cifd import EmbeddingMatching
from indistill_tf.cifd import PairDistiller
from indistill_tf.cifd import contrastive_loss
from indistill_tf.cifd import with_bottleneck
from indistill_tf.errors import UserError


def tower(inputs, width=3):
    hidden = keras.layers.Dense(5, name="hidden")(inputs)
    return keras.Model(
        inputs, keras.layers.Dense(width, use_bias=False)(hidden)
    )


def towers(width=3):
    return tower(keras.Input((4,))), tower(keras.Input((2,)), width)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    sizes = dict(image=4, tokens=2, image_embedding=3, text_embedding=3)
    return {
        name: rng.normal(size=(8, size)).astype("float32")
        for name, size in sizes.items()
    }


def fit(pair, batch, epochs=1, **options):
    if not pair.compiled:
        pair.compile(keras.optimizers.AdamW(0.05), **options)
    return pair.fit(
        batch, batch_size=8, epochs=epochs, shuffle=False, verbose=0
    ).history


def test_alone_it_is_contrastive_training(batch):
    pair = PairDistiller(*towers())
    embeddings = pair(batch)
    expected = float(
        contrastive_loss(embeddings["image"], embeddings["text"], 0.07)
    )
    logs = fit(pair, batch)
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert logs["loss/contrastive"] == logs["loss"]
    assert set(logs) == {"loss", "loss/contrastive", "loss/rate", "accuracy"}
    assert fit(pair, batch, 60)["accuracy"][-1] >= 0.75


def test_loss_is_the_sum_of_its_parts(batch):
    pair = PairDistiller(*towers(), EmbeddingMatching(), EmbeddingMatching())
    assert pair.contrastive_weight == 0.005
    embeddings = pair(batch)
    expected = 0.005 * float(
        contrastive_loss(embeddings["image"], embeddings["text"], 0.07)
    )
    for name in ("image", "text"):
        teacher, student = (
            x / np.linalg.norm(x, axis=1, keepdims=True)
            for x in (batch[f"{name}_embedding"], embeddings[name])
        )
        expected += np.mean((teacher - student) ** 2)
    logs = fit(pair, batch)
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert set(logs) == {
        "accuracy",
        *("loss" + part for part in ("", "/contrastive", "/rate")),
        *(f"loss/{name}" for name in ("image", "text")),
    }
    later = fit(pair, batch, 60)
    assert later["loss/image"][-1] < 0.3 * logs["loss/image"][0]
    assert later["loss/text"][-1] < 0.6 * logs["loss/text"][0]


def test_bottleneck_adds_its_rate_in_training(batch):
    plain = towers()
    noisy = [with_bottleneck(tower, 0.01) for tower in plain]
    pair = PairDistiller(*noisy)
    logs = fit(pair, batch, run_eagerly=True)
    assert logs["loss/rate"][0] > 0
    assert logs["loss"][0] == pytest.approx(
        logs["loss/contrastive"][0] + logs["loss/rate"][0], rel=1e-5
    )
    np.testing.assert_array_equal(
        pair(batch)["image"], plain[0](batch["image"])
    )


def test_seeds_repeat(batch):
    def weights(seed):
        keras.utils.set_random_seed(seed)
        noisy = [with_bottleneck(tower, 0.01) for tower in towers()]
        pair = PairDistiller(*noisy, EmbeddingMatching())
        # Two steps, for which no graph is worth making.
        fit(pair, batch, 2, run_eagerly=True)
        return np.concatenate([np.ravel(w) for w in pair.get_weights()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


def test_evaluate_has_no_noise(batch):
    noisy = [with_bottleneck(tower, 0.01) for tower in towers()]
    pair = PairDistiller(*noisy)
    pair.compile(keras.optimizers.AdamW(0.0), run_eagerly=True)
    first, second = (
        pair.evaluate(batch, batch_size=8, verbose=0, return_dict=True)
        for _ in range(2)
    )
    assert first == second
    assert first["loss/rate"] == 0.0


def test_refusals(batch):
    with pytest.raises(UserError, match="3 of images and 2 of texts"):
        PairDistiller(*towers(2))
    del batch["text_embedding"]
    pair = PairDistiller(*towers(), EmbeddingMatching(), EmbeddingMatching())
    with pytest.raises(UserError, match="'text_embedding' is missing"):
        fit(pair, batch)
