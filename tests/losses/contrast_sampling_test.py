import collections
import itertools

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


def negatives(sampler, ids=IDS):
    """Counts of the training set's samples, `[N, 20]`."""
    candidates, weights = map(np.asarray, sampler.draw_negatives(ids))
    assert len(set(candidates)) == len(candidates)
    counts = np.zeros((len(ids), 20))
    counts[:, candidates] = weights
    return counts


def test_negatives_are_of_other_classes_and_distinct():
    # Class 7 leaves 8 candidates, the others more.
    for counts, sample_id in zip(negatives(make(8)), IDS, strict=True):
        assert sorted(set(counts)) == [0, 1]
        assert counts.sum() == 8
        assert not counts[LABELS == LABELS[sample_id]].any()


def test_too_few_of_other_classes_count_several_times():
    # Class 7 leaves 8 candidates, class 1 leaves 15.
    drawn = negatives(make(15))
    for counts, sample_id in zip(drawn, IDS, strict=True):
        assert counts.sum() == pytest.approx(15)
        assert not counts[LABELS == LABELS[sample_id]].any()
    np.testing.assert_array_equal(drawn[0][LABELS != 7], 15 / 8)
    assert [set(counts) for counts in drawn[1:]] == [{0, 1}] * 3


def test_every_set_of_negatives_is_as_likely():
    # Sample 0 has four candidates, sample 5 has five.
    call = tf.function(ContrastSampler(6, [0, 0, 1, 1, 1, 2], num_negatives=2))
    counts = {0: collections.Counter(), 5: collections.Counter()}
    for _ in range(1800):
        _, candidates, weights = call(tf.constant([0, 5]))
        for sample_id, row in zip(counts, weights.numpy(), strict=True):
            counts[sample_id][tuple(sorted(candidates.numpy()[row > 0]))] += 1
    for others, found in zip([range(2, 6), range(5)], counts.values()):
        sets = list(itertools.combinations(others, 2))
        assert sorted(found) == sets
        expected = 1800 / len(sets)
        deviation = np.sqrt(expected * (1 - 1 / len(sets)))
        for count in found.values():
            assert abs(count - expected) < 4 * deviation


def test_samples_of_one_class_share_their_negatives():
    other = np.flatnonzero(LABELS == 7)[1]
    first, second, third = negatives(make(5), np.array([IDS[0], other, IDS[1]]))
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


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
    first, second = sampler(IDS), sampler(IDS)
    assert (first.candidates.numpy() != second.candidates.numpy()).any()
    np.testing.assert_array_equal(LABELS[first.positives], LABELS[IDS])
    if positives == "exact":
        np.testing.assert_array_equal(first.positives, IDS)
    again = make(positives=positives)(IDS)
    for value, expected in zip(again, first, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_without_labels_any_other_sample_is_a_negative():
    counts = negatives(make(19, labels=None))
    np.testing.assert_array_equal(counts, 1 - np.eye(20)[IDS])


def test_one_sample_of_a_batch_of_any_size():
    call = tf.function(
        make(3), input_signature=[tf.TensorSpec([None], tf.int32)]
    )
    # Three negatives, and the twelve of the largest class.
    assert call(tf.constant([4])).weights.shape == (1, 15)
    assert call(tf.constant([4, 5])).weights.shape == (2, 15)


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
