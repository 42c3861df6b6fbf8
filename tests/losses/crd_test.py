import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.losses import crd

LABELS = [0] * 12 + [1] * 5 + [2] * 2 + [3]


def make(**kwargs):
    options = {"labels": LABELS, "num_negatives": 6, "width": 4, **kwargs}
    return losses.ContrastiveRepresentation(20, **options)


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(5, 8)).astype("float32"),
        rng.normal(size=(5, 6)).astype("float32"),
    )


IDS = np.array([0, 13, 17, 19, 4])


def own_class(ids=IDS):
    labels = np.array(LABELS)
    return labels[ids][:, None] == labels[None, :]


def test_config_round_trip():
    options = {
        "temperature": 0.1,
        "momentum": 0.9,
        "positives": "relaxed",
        "seed": 3,
    }
    config = keras.saving.serialize_keras_object(
        make(labels=np.array(LABELS), name="task", **options)
    )
    again = keras.saving.deserialize_keras_object(config)
    assert (again.name, again.num_data, again.width) == ("task", 20, 4)
    assert again.num_negatives == 6
    assert again.labels == LABELS
    assert {name: getattr(again, name) for name in options} == options


@pytest.mark.parametrize(
    "num_negatives, num_data, expected",
    [(2, 100, 1.909553), (16384, 50000, 10.7091)],
)
def test_equal_scores(num_negatives, num_data, expected):
    # ln(K + 1) + K ln(1 + 1 / K), and the epsilon.
    scores = np.full((3, num_negatives + 1), 1 / num_data)
    value = losses.contrastive_nce(scores, num_negatives, num_data)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_positive_scores_are_raised_and_negative_ones_lowered():
    scores = tf.constant(np.random.default_rng(0).uniform(0.01, 1, (4, 6)))
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = losses.contrastive_nce(scores, 5, 100)
    gradient = tape.gradient(value, scores).numpy()
    assert (gradient[:, 0] < 0).all()
    assert (gradient[:, 1:] > 0).all()


def test_scores_are_those_of_the_gathered_rows():
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(3, 4)).astype("float32")
    bank = rng.normal(size=(9, 4)).astype("float32")
    ids = rng.integers(0, 9, (3, 5))
    value = losses.contrast_scores(embedding, bank, ids, 0.5)
    expected = np.exp(np.einsum("nd,nkd->nk", embedding, bank[ids]) / 0.5)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_negatives_are_of_other_classes_and_distinct():
    # All classes leave at least 8 candidates.
    drawn = np.asarray(crd.draw_negatives(own_class(), 8, seed=1))
    for row, ids in zip(drawn, own_class(), strict=True):
        assert len(set(row)) == 8
        assert not ids[row].any()


def test_small_sets_and_ragged_classes_draw_with_replacement():
    # Class 0 leaves 8 candidates, class 3 leaves 19.
    drawn = np.asarray(crd.draw_negatives(own_class(), 15, seed=1))
    assert drawn.shape == (5, 15)
    for row, ids in zip(drawn, own_class(), strict=True):
        assert not ids[row].any()
    assert len(set(drawn[3])) == 15
    drawn = np.asarray(crd.draw_negatives(own_class(), 400, seed=1))
    for row, ids in zip(drawn, own_class(), strict=True):
        assert set(row) == set(np.flatnonzero(~ids))


def test_negatives_are_drawn_evenly():
    own = np.repeat(own_class(IDS[1:2]), 2000, axis=0)
    drawn = np.asarray(crd.draw_negatives(own, 6, seed=1))
    counts = np.bincount(drawn.ravel(), minlength=20)
    assert not counts[own[0]].any()
    np.testing.assert_allclose(counts[~own[0]], 2000 * 6 / 15, rtol=0.15)


def test_relaxed_positives_are_of_the_own_class():
    own = np.repeat(own_class(IDS[:1]), 300, axis=0)
    assert set(np.asarray(crd.draw_positives(own, seed=1))) == set(range(12))


@pytest.mark.parametrize("positives", ["exact", "relaxed"])
def test_every_call_draws_anew(positives, features):
    layer = make(positives=positives)
    layer.build((5, 8), (5, 6))
    first = np.asarray(layer._draw(tf.constant(IDS, "int32")))
    second = np.asarray(layer._draw(tf.constant(IDS, "int32")))
    assert first.shape == (5, 7)
    assert (first != second).any()
    labels = np.array(LABELS)
    np.testing.assert_array_equal(labels[first[:, 0]], labels[IDS])
    if positives == "exact":
        np.testing.assert_array_equal(first[:, 0], IDS)


def test_without_labels_any_other_sample_is_a_negative():
    layer = make(labels=None, num_negatives=19)
    layer.build((5, 8), (5, 6))
    drawn = np.asarray(layer._draw(tf.constant(IDS, "int32")))
    assert all(sorted(row) == list(range(20)) for row in drawn)


def test_training_moves_the_banks_rows_of_the_batch_only(features):
    layer = make()
    layer.build((5, 8), (5, 6))
    before = layer.teacher_bank.numpy(), layer.student_bank.numpy()
    layer(*features, sample_ids=IDS)
    after = layer.teacher_bank.numpy(), layer.student_bank.numpy()
    others = np.setdiff1d(np.arange(20), IDS)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new[others], old[others])
        assert (new[IDS] != old[IDS]).any(axis=1).all()
        np.testing.assert_allclose(np.linalg.norm(new[IDS], axis=1), 1, 1e-5)


def test_normalizers_are_set_once(features):
    layer = make()
    layer(*features, sample_ids=IDS)
    first = layer.student_normalizer.numpy(), layer.teacher_normalizer.numpy()
    assert min(first) > 0
    layer(3 - features[0], features[1] ** 2, sample_ids=IDS + [1, 0, 1, 0, 1])
    again = layer.student_normalizer.numpy(), layer.teacher_normalizer.numpy()
    assert again == first


def test_inference_changes_nothing(features):
    layer = make()
    layer.build((5, 8), (5, 6))
    before = [weight.numpy() for weight in layer.weights]
    value = layer(*features, sample_ids=IDS, training=False)
    assert np.isfinite(float(value))
    for weight, old in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_only_the_heads_train(features):
    layer = make()
    with tf.GradientTape() as tape:
        value = layer(*features, sample_ids=IDS)
    names = [weight.name for weight in layer.trainable_variables]
    assert names == ["kernel", "bias"] * 2
    gradients = tape.gradient(value, layer.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    assert float(value) > 0


def test_half_precision_features(features):
    half = [part.astype("float16") for part in features]
    contrast = np.arange(35).reshape(5, 7) % 20
    value = make()(*half, sample_ids=IDS, contrast_ids=contrast)
    assert value.dtype == "float32"
    assert np.isfinite(float(value))


def test_a_zero_embedding_is_finite(features, value_and_gradient):
    layer = make()
    layer.build((5, 8), (5, 6))
    value, gradient = value_and_gradient(
        lambda t, s: layer(t, s, sample_ids=IDS),
        features[0],
        np.zeros_like(features[1]),
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.isfinite(layer.student_bank.numpy()).all()


def test_a_symbolic_call_builds_heads_and_banks():
    layer = make()
    output = layer(keras.Input((2, 2, 3)), keras.Input((6,)))
    assert output.shape == ()
    assert layer.teacher_head.kernel.shape == (12, 4)
    assert layer.student_head.kernel.shape == (6, 4)
    assert layer.teacher_bank.shape == (20, 4)
    assert (layer.teacher_bank.numpy() != layer.student_bank.numpy()).any()
    norms = np.linalg.norm(layer.teacher_bank.numpy(), axis=1)
    assert 0.7 < norms.mean() < 1.3


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_with_a_batch_of_any_size(jit_compile, features):
    layer = make()
    layer.build((None, 8), (None, 6))

    @tf.function(jit_compile=jit_compile, reduce_retracing=True)
    def step(teacher, student, ids):
        return layer(teacher, student, sample_ids=ids)

    for size in (5, 3):
        parts = [tf.constant(part[:size]) for part in (*features, IDS)]
        assert np.isfinite(float(step(*parts)))


def test_checkpoints_hold_the_weights_and_the_draws(features, tmp_path):
    def model():
        inputs = [keras.Input((8,)), keras.Input((6,))]
        loss = make()
        return loss, keras.Model(inputs, loss(*inputs))

    loss, saved = model()
    loss(*features, sample_ids=IDS)
    saved.save_weights(tmp_path / "run.weights.h5")
    again, restored = model()
    restored.load_weights(tmp_path / "run.weights.h5")
    for old, new in zip(loss.weights, again.weights, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())
    values = [
        float(part(*features, sample_ids=IDS, training=False))
        for part in (loss, again)
    ]
    assert values[0] == values[1]


def test_replicas_fill_one_bank(features):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    contrast = np.arange(28).reshape(4, 7) % 20
    alone = make()
    alone.build((None, 8), (None, 6))
    with strategy.scope():
        layer = make()
        layer.build((None, 8), (None, 6))
    for mine, theirs in zip(layer.weights, alone.weights, strict=True):
        mine.assign(theirs.numpy())

    @tf.function
    def step():
        def replica():
            context = tf.distribute.get_replica_context()
            start = 2 * context.replica_id_in_sync_group
            part = [
                tf.constant(whole)[start : start + 2]
                for whole in (*features, IDS, contrast)
            ]
            layer(*part[:2], sample_ids=part[2], contrast_ids=part[3])

        strategy.run(replica)

    step()
    parts = [whole[:4] for whole in (*features, IDS)]
    alone(*parts[:2], sample_ids=parts[2], contrast_ids=contrast)
    for name in ("teacher_bank", "student_bank", "student_normalizer"):
        np.testing.assert_allclose(
            getattr(layer, name).numpy(),
            getattr(alone, name).numpy(),
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"temperature": 0}, "`temperature` must be above 0"),
        ({"num_negatives": 0}, "`num_negatives` must be above 0"),
        ({"width": -1}, "`width` must be above 0"),
        ({"momentum": 1.5}, "momentum=1.5"),
        ({"positives": "relax"}, "Received: positives='relax'"),
        ({"positives": "relaxed", "labels": None}, "needs `labels`"),
        ({"labels": [0, 1]}, "num_data=20 and 2 labels"),
        ({"labels": [7] * 20}, "Received only: 7"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_single_sample_has_no_negatives():
    with pytest.raises(ValueError, match="Received: num_data=1"):
        losses.ContrastiveRepresentation(1)


def test_missing_sample_ids(features):
    with pytest.raises(ValueError, match="`sample_ids` are needed"):
        make()(*features)
