import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError
from indistill_tf.losses.base import Setting

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
    config = again.get_config()
    assert (config["labels"], config["num_negatives"]) == (LABELS, 6)
    assert {name: config[name] for name in options} == options


def test_it_is_made_for_the_training_set_of_a_run():
    networks = {"teacher": None, "student": None}
    setting = Setting(**networks, train_labels=np.array(LABELS))
    layer = losses.ContrastiveRepresentation.create(setting, width=4)
    assert (layer.num_data, layer.width) == (20, 4)
    np.testing.assert_array_equal(layer.sampler.labels, LABELS)
    with pytest.raises(UserError, match="needs `train_labels` in `Distiller"):
        losses.ContrastiveRepresentation.create(Setting(**networks))


def test_it_asks_for_the_whole_batch_and_its_ids():
    layer = make()
    assert layer.relational
    assert layer.remembers
    assert layer.needs == ("sample_ids",)


@pytest.mark.parametrize(
    "num_negatives, num_data, expected",
    [(2, 100, 1.909553), (16384, 50000, 10.7091)],
)
def test_equal_scores(num_negatives, num_data, expected):
    # ln(K + 1) + K ln(1 + 1 / K), and the epsilon.
    scores = np.full((3, num_negatives + 1), 1 / num_data)
    value = losses.contrastive_nce(scores[:, 0], scores[:, 1:], num_data)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_weights_say_how_often_a_negative_counts():
    positive, scores = np.array([0.1, 0.3]), np.array([[0.2, 0.5, 0.4]] * 2)
    weights = np.array([[2.0, 0, 1], [0, 3, 0]])
    repeated = np.array([[0.2, 0.2, 0.4], [0.5, 0.5, 0.5]])
    value = losses.contrastive_nce(positive, scores, 10, weights)
    expected = losses.contrastive_nce(positive, repeated, 10)
    assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_positive_scores_are_raised_and_negative_ones_lowered():
    scores = tf.constant(np.random.default_rng(0).uniform(0.01, 1, (4, 6)))
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = losses.contrastive_nce(scores[:, 0], scores[:, 1:], 100)
    gradient = tape.gradient(value, scores).numpy()
    assert (gradient[:, 0] < 0).all()
    assert (gradient[:, 1:] > 0).all()


def test_scores_of_rows_of_a_bank():
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(3, 4)).astype("float32")
    rows = rng.normal(size=(9, 4)).astype("float32")
    value = losses.contrast_scores(embedding, rows, 0.5)
    np.testing.assert_allclose(value, np.exp(embedding @ rows.T * 2), rtol=1e-5)


def test_given_contrasts_count_as_often_as_they_come(features):
    # Two rows give a sample twice.
    ids = [[0, 12, 13, 13], [13, 0, 1, 19], [17, 0, 0, 2]]
    parts = [part[:3] for part in features]
    layer = make(num_negatives=3)
    value = layer(*parts, IDS[:3], np.array(ids), training=False)
    sides = []
    for part, head, bank in (
        (parts[1], layer.student_head, layer.teacher_bank.numpy()),
        (parts[0], layer.teacher_head, layer.student_bank.numpy()),
    ):
        anchor = np.array(head(part))
        anchor /= np.linalg.norm(anchor, axis=1, keepdims=True)
        scores = np.exp(np.einsum("nd,nkd->nk", anchor, bank[ids]) / 0.07)
        scores /= scores.mean() * 20
        own, others = scores[:, 0], scores[:, 1:]
        logs = np.log(own / (own + 3 / 20))
        logs += np.log(3 / 20 / (others + 3 / 20)).sum(axis=1)
        sides.append(-logs.mean())
    assert float(value) == pytest.approx(sum(sides), rel=1e-4)


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


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_features(dtype, features):
    half = [tf.cast(part, dtype) for part in features]
    value = make()(*half, sample_ids=IDS)
    assert value.dtype == "float32"
    keras.utils.set_random_seed(0)
    rounded = [tf.cast(part, "float32") for part in half]
    assert float(value) == float(make()(*rounded, sample_ids=IDS))


def test_double_precision(features):
    single, double = make(), make(dtype="float64")
    for layer in (single, double):
        layer.build((5, 8), (5, 6))
    for ours, others in zip(double.weights, single.weights, strict=True):
        ours.assign(others)
    others = [(np.arange(7) + i) % 20 for i in IDS]
    given = {"sample_ids": IDS, "contrast_ids": np.array(others)}
    expected = single(*features, **given, training=False)
    value = double(*features, **given, training=False)
    assert value.dtype == "float64"
    assert float(value) == pytest.approx(float(expected), rel=1e-4)
    assert double(*features, sample_ids=IDS).dtype == "float64"


@pytest.mark.parametrize("size", [1, 5])
def test_zero_features(size, value_and_gradient):
    layer = make()
    layer.build((None, 8), (None, 6))
    value, gradient = value_and_gradient(
        lambda t, s: layer(t, s, sample_ids=IDS[:size]),
        np.zeros((size, 8), "float32"),
        np.zeros((size, 6), "float32"),
    )
    # All scores are equal: twice ln 7 + 6 ln(7 / 6).
    assert value == pytest.approx(5.74163, rel=1e-5)
    np.testing.assert_array_equal(gradient, 0)
    for weight in layer.weights:
        assert np.isfinite(weight.numpy()).all()


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

    @tf.function(
        jit_compile=jit_compile,
        input_signature=[
            tf.TensorSpec([None, 8]),
            tf.TensorSpec([None, 6]),
            tf.TensorSpec([None], tf.int64),
        ],
    )
    def step(teacher, student, ids):
        with tf.GradientTape() as tape:
            value = layer(teacher, student, sample_ids=ids)
        return value, tape.gradient(value, layer.trainable_variables)

    for size in (5, 3, 1):
        parts = [tf.constant(part[:size]) for part in (*features, IDS)]
        value, gradients = step(*parts)
        assert np.isfinite(float(value))
        assert all(np.isfinite(gradient).all() for gradient in gradients)


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


def three_calls(strategy, features):
    """Calls a layer on three whole batches; returns it and the values."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        layer = make(positives="relaxed")
        layer.build((None, 8), (None, 6))

    @tf.function
    def step(*batch):
        def replica(teacher, student, ids):
            return layer(teacher, student, sample_ids=ids)

        values = strategy.run(replica, args=batch)
        return strategy.experimental_local_results(values)

    values = []
    for size in (5, 5, 2):
        parts = [tf.constant(part[:size]) for part in (*features, IDS)]
        values.append([float(value) for value in step(*parts)])
    return layer, np.array(values)


def test_replicas_keep_equal_banks_and_draws(mirrored, features):
    alone, expected = three_calls(tf.distribute.get_strategy(), features)
    layer, values = three_calls(mirrored, features)
    assert values.shape == (3, 2)
    assert len(set(expected.ravel())) == 3
    np.testing.assert_allclose(values, np.repeat(expected, 2, 1), rtol=1e-6)
    for mirrored_variable, variable in zip(
        layer.variables, alone.variables, strict=True
    ):
        copies = mirrored.experimental_local_results(mirrored_variable.value)
        assert len(copies) == 2
        np.testing.assert_array_equal(copies[0], copies[1])
        np.testing.assert_allclose(copies[0], variable.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"temperature": 0}, "temperature=0,"),
        ({"width": -1}, "width=-1,"),
        ({"momentum": 1.5}, "momentum=1.5"),
        ({"num_negatives": 0}, "num_negatives=0"),
        ({"labels": [0, 1]}, "num_data=20 and labels"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(UserError, match=message):
        make(**options)


def test_missing_sample_ids(features):
    with pytest.raises(UserError, match='"sample_id": ids}, labels'):
        make()(*features)
