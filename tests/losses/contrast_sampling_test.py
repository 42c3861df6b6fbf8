import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf.errors import UserError
from indistill_tf.losses.contrast_sampling import ContrastSampler

# 12, 5, 2 and 1 samples, not in order.
LABELS = np.random.default_rng(0).permutation(
    [7] * 12 + [1] * 5 + [2] * 2 + [9]
)
IDS = np.array([np.argmax(LABELS == label) for label in (7, 1, 2, 9)])


def make(num_negatives=6, labels=LABELS, **options):
    return ContrastSampler(20, labels, num_negatives, **options)


def test_config_round_trip():
    sampler = make(positives="relaxed", seed=3, name="draws")
    config = keras.saving.serialize_keras_object(sampler)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == sampler.get_config()
    np.testing.assert_array_equal(again.labels, LABELS)
    assert (again.num_data, again.num_negatives) == (20, 6)
    assert (again.positives, again.seed) == ("relaxed", 3)


def test_negatives_are_of_other_classes_and_distinct():
    # Class 7 leaves 8 candidates, the others more.
    drawn = np.asarray(make(8).draw_negatives(IDS))
    for row, sample_id in zip(drawn, IDS, strict=True):
        assert len(set(row)) == 8
        assert not (LABELS[row] == LABELS[sample_id]).any()


def test_small_sets_and_ragged_classes_draw_with_replacement():
    # Class 7 leaves 8 candidates, class 1 leaves 15.
    drawn = np.asarray(make(15).draw_negatives(IDS))
    assert [len(set(row)) for row in drawn[1:]] == [15, 15, 15]
    drawn = np.asarray(make(400).draw_negatives(IDS))
    for row, sample_id in zip(drawn, IDS, strict=True):
        others = np.flatnonzero(LABELS != LABELS[sample_id])
        assert sorted(set(row)) == others.tolist()
        counts = np.bincount(row)[others]
        assert len(set(counts)) > 1
        expected = 400 / len(others)
        assert np.abs(counts - expected).max() < 4 * np.sqrt(expected)


def test_every_set_of_negatives_is_as_likely():
    # Sample 0 has four candidates. Sample 5 has five, and they share a shuffle
    # of five ranks, of which sample 0 has to leave one out.
    call = tf.function(ContrastSampler(6, [0, 0, 1, 1, 1, 2], num_negatives=2))
    ids = tf.constant([0])
    counts = collections.Counter(
        tuple(sorted(call(ids).numpy()[0, 1:].tolist())) for _ in range(1800)
    )
    expected = {(2, 3), (2, 4), (2, 5), (3, 4), (3, 5), (4, 5)}
    assert set(counts) == expected
    # 300 each, within four standard deviations of 16.
    assert max(abs(count - 300) for count in counts.values()) < 64


def test_samples_of_a_batch_draw_apart():
    call = tf.function(make(5))
    ids = tf.constant(np.repeat(IDS[:1], 2))
    drawn = np.stack([call(ids).numpy()[:, 1:] for _ in range(1500)])
    first, second = drawn.mean(axis=-1).T
    # Four standard deviations of the correlation of what is unrelated.
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    # They are equal where two of 8 random starts are.
    assert (first == second).mean() < 0.25


def test_relaxed_positives_are_of_the_own_class():
    sampler = make(positives="relaxed")
    drawn = np.asarray(sampler.draw_positives(np.repeat(IDS, 600)))
    for row, sample_id in zip(drawn.reshape(4, 600), IDS, strict=True):
        own = np.flatnonzero(LABELS == LABELS[sample_id])
        counts = np.bincount(row, minlength=20)[own]
        assert counts.sum() == 600
        np.testing.assert_allclose(counts / 600, 1 / len(own), atol=0.07)


@pytest.mark.parametrize("positives", ["exact", "relaxed"])
def test_every_call_draws_anew(positives):
    sampler = make(positives=positives)
    first, second = np.asarray(sampler(IDS)), np.asarray(sampler(IDS))
    assert first.shape == (4, 7)
    assert (first != second).any()
    np.testing.assert_array_equal(LABELS[first[:, 0]], LABELS[IDS])
    if positives == "exact":
        np.testing.assert_array_equal(first[:, 0], IDS)
    again = make(positives=positives)
    np.testing.assert_array_equal(again(IDS), first)


def test_without_labels_any_other_sample_is_a_negative():
    drawn = np.asarray(make(19, labels=None)(IDS))
    assert all(sorted(row) == list(range(20)) for row in drawn)


def test_one_sample_of_a_batch_of_any_size():
    call = tf.function(
        make(3), input_signature=[tf.TensorSpec([None], tf.int32)]
    )
    assert call(tf.constant([4])).shape == (1, 4)
    assert call(tf.constant([4, 5])).shape == (2, 4)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_negatives": 0}, "`num_negatives` must be above 0"),
        ({"positives": "relax"}, "Received: positives='relax'"),
        ({"positives": "relaxed", "labels": None}, "needs `labels`"),
        ({"labels": [0, 1]}, r"num_data=20 and labels of shape \(2,\)"),
        ({"labels": [7] * 20}, "num_data=20 and labels of 1 class"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(UserError, match=message):
        make(**options)


def test_a_single_sample_has_no_negatives():
    with pytest.raises(UserError, match="num_data=1 and"):
        ContrastSampler(1)
