"""Images that stay in their files: what comes, in which order, how often."""

import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.data.images import tfrecords
from indistill_tf.errors import UserError

KINDS = ("tfrecord", "array_record", "folder")


def take(images, batch_size=20, seed=3, **options):
    batches = data.training_batches(
        images.train,
        images.preprocessing,
        data.Order(batch_size, seed, **options),
        data.RandomResizedCrop(),
        sample_ids=True,
    )
    return [
        (x["sample_id"].numpy(), labels.numpy(), x["image"].numpy())
        for x, labels in batches
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_each_epoch_has_each_image_once_in_a_new_order(load_encoded, kind):
    images = load_encoded(kind)
    size = len(images.train)
    steps = data.steps(images.train, 20)
    batches = take(images, epochs=2)
    assert len(batches) == 2 * steps
    epochs = [batches[:steps], batches[steps:]]
    orders = [np.concatenate([ids for ids, _, _ in epoch]) for epoch in epochs]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(size))
    assert not np.array_equal(*orders)
    for ids, labels, pixels in batches:
        assert pixels.shape == (len(ids), 32, 32, 3)
        np.testing.assert_array_equal(labels, images.train.labels[ids])


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_run_sees_the_same_images(load_encoded, kind):
    images = load_encoded(kind)
    steps = data.steps(images.train, 20)
    undisturbed = take(images, epochs=3)[2 * steps :]
    tf.random.set_seed(77)  # of no importance
    resumed = take(images, first_epoch=2, epochs=1)
    assert len(resumed) == steps
    for expected, batch in zip(undisturbed, resumed):
        for one, other in zip(expected, batch):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["tfrecord", "folder"])
def test_seed_and_epoch_change_what_is_cut_out(load_encoded, kind):
    images = load_encoded(kind)
    variants = [
        np.concatenate([p for _, _, p in batches])[
            np.argsort(np.concatenate([ids for ids, _, _ in batches]))
        ]
        for batches in (
            take(images, epochs=1),
            take(images, epochs=1, first_epoch=1),
            take(images, epochs=1, seed=4),
        )
    ]
    for first in range(3):
        for second in range(first):
            distance = np.abs(variants[first] - variants[second])
            assert (distance.max(axis=(1, 2, 3)) > 0.1).mean() > 0.9


def test_array_records_hold_what_tfrecords_hold(load_encoded):
    splits = [load_encoded(kind).train for kind in KINDS[:2]]
    rows = [
        {encoded.numpy(): int(label) for encoded, label, _ in split.elements()}
        for split in splits
    ]
    assert len(rows[0]) == 48
    assert rows[0] == rows[1]


@pytest.mark.parametrize("kind", KINDS)
def test_positions_labels_and_order_of_evaluation_agree(load_encoded, kind):
    images = load_encoded(kind)
    rows = list(images.test.elements())
    assert [int(position) for *_, position in rows] == list(range(len(rows)))
    assert len(images.test) == len(rows)
    expected = [int(label) for _, label, _ in rows]
    np.testing.assert_array_equal(images.test.labels, expected)
    batches = data.evaluation_batches(images.test, images.preprocessing, 5)
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(labels, expected)
    pixels = np.concatenate([pixels for pixels, _ in batches])
    whole = tf.io.decode_image(rows[3][0], 3)[None]
    np.testing.assert_allclose(
        pixels[3], images.preprocessing(whole)[0], atol=1e-5
    )
    # In any order, also more than once.
    some = images.test.images_at(np.array([3, 1, 3]))
    some = images.preprocessing.normalize(some)
    np.testing.assert_allclose(some, pixels[[3, 1, 3]], atol=1e-5)


def test_slices_and_classes(load_encoded):
    images = load_encoded(
        "tfrecord",
        train_split="train[:75%]",
        validation_split="train[75%:]",
        classes=500,
    )
    whole = load_encoded("tfrecord").train.labels
    np.testing.assert_array_equal(
        images.train.labels, whole[:36][whole[:36] < 500]
    )
    np.testing.assert_array_equal(
        images.validation.labels, whole[36:][whole[36:] < 500]
    )
    assert images.num_classes == 500
    batches = take(images, epochs=1)
    ids = np.concatenate([ids for ids, _, _ in batches])
    np.testing.assert_array_equal(np.sort(ids), np.arange(len(images.train)))
    labels = np.concatenate([labels for _, labels, _ in batches])
    np.testing.assert_array_equal(labels, images.train.labels[ids])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [None, 2])
def test_workers_share_out_an_epoch(load_encoded, kind, classes):
    split = load_encoded(kind).train
    if classes and kind != "folder":
        classes = 500
    split = split.first_classes(classes) if classes else split
    shares = []
    for worker in range(2):
        records = split.records.shuffled([1, 0], worker, workers=2)
        shares.append([int(position) for *_, position in records])
    np.testing.assert_array_equal(
        np.sort(np.concatenate(shares)), np.arange(len(split))
    )
    assert abs(len(shares[0]) - len(shares[1])) <= 1


def test_workers_read_their_own_shards_only(load_encoded, monkeypatch):
    records = load_encoded("tfrecord").train.records
    parts = []
    keep = tfrecords._part_of_shards

    def part(*arguments):
        parts.append(keep(*arguments))
        return parts[-1]

    monkeypatch.setattr(tfrecords, "_part_of_shards", part)
    for worker in range(2):
        records.shuffled([0, 0], worker, 2)
    takes = [np.asarray(take) for _, _, take, _ in parts]
    # Of five shards with 10, 9, 10, 9, 10 records one is cut in two.
    assert [take.sum() for take in takes] == [24, 24]
    assert np.sum((takes[0] > 0) & (takes[1] > 0)) <= 1


def test_part_of_shards_by_hand():
    names, skips, takes, firsts = (
        np.asarray(column)
        for column in tfrecords._part_of_shards(
            tf.constant(["a", "b", "c"]),
            tf.constant([0, 5, 0], tf.int64),
            tf.constant([10, 20, 30], tf.int64),
            tf.constant([40, 50, 0], tf.int64),
            12,
            35,
        )
    )
    np.testing.assert_array_equal(takes, [0, 18, 5])
    # Of b, two records are left out beside the five that the slice leaves out.
    np.testing.assert_array_equal(skips[1:], [7, 0])
    np.testing.assert_array_equal(firsts[1:], [52, 0])


def test_replicas_and_workers_give_equally_many_batches(load_encoded):
    images = load_encoded("tfrecord")
    for worker in range(2):
        batches = take(
            images,
            batch_size=20,
            epochs=2,
            drop_remainder=True,
            worker=worker,
            workers=2,
            parts=2,
        )
        # 48 images are two batches of 20; a worker has half, in two parts.
        assert [len(ids) for ids, _, _ in batches] == [5] * 8
        for epoch in (batches[:4], batches[4:]):
            ids = np.concatenate([ids for ids, _, _ in epoch])
            assert len(set(ids)) == 20


@pytest.mark.long
def test_a_strategy_of_two_replicas(load_encoded, mirrored):
    import keras

    images = load_encoded("tfrecord")
    with mirrored.scope():
        batches = data.distributed_batches(
            images.train,
            images.preprocessing,
            data.Order(16, 0, drop_remainder=True),
            data.RandomResizedCrop(),
        )
        assert isinstance(batches, tf.distribute.DistributedDataset)
        inputs = keras.Input((32, 32, 3))
        outputs = keras.layers.Dense(1000)(keras.layers.Flatten()(inputs))
        model = keras.Model(inputs, outputs)
        model.compile(
            "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        first = next(iter(batches))
        sizes = [len(part) for part in first[1].values]
        assert sizes == [8, 8]
        log = model.fit(
            batches,
            epochs=2,
            steps_per_epoch=3,
            verbose=0,
            shuffle=False,
            validation_data=data.evaluation_batches(
                images.test, images.preprocessing, 8
            ),
        ).history
        assert np.all(np.isfinite(log["loss"] + log["val_loss"]))
        with pytest.raises(UserError, match="15 images cannot .* 2 replicas"):
            data.distributed_batches(
                images.train,
                images.preprocessing,
                data.Order(15, 0),
                data.RandomResizedCrop(),
            )


def test_labels_are_read_when_they_are_asked_for(load_encoded):
    images = load_encoded("tfrecord")
    assert len(images.train) == 48
    images.describe()
    take(images, epochs=1)
    assert "labels" not in images.train.__dict__
    assert "labels" not in images.train.records.__dict__
    assert images.train.labels.shape == (48,)
    assert images.train.labels is images.train.labels
