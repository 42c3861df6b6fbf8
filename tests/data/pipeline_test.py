import itertools

import numpy as np
import pytest

from indistill_tf import data
from indistill_tf.errors import UserError


@pytest.fixture
def split():
    labels = np.arange(50, dtype="int32")
    images = np.zeros((50, 8, 8, 1), "uint8") + labels[:, None, None, None] * 5
    return data.Split(images.astype("uint8"), labels)


PLAIN = data.Preprocessing((8, 8), mean=(0.0,), std=(1.0,))
CROP = data.Crop()


def take(split, count, augmentation=CROP, **options):
    order = data.Order(16, seed=1, **options)
    batches = data.training_batches(split, PLAIN, order, augmentation)
    return [
        (images.numpy(), labels.numpy())
        for images, labels in itertools.islice(batches, count)
    ]


def test_each_epoch_has_each_image_once_in_a_new_order(split):
    steps = data.steps(split, 16)
    assert steps == 4
    batches = take(split, 3 * steps)
    orders = [
        np.concatenate([labels for _, labels in batches[i : i + steps]])
        for i in range(0, len(batches), steps)
    ]
    for order in orders:
        assert sorted(order) == list(range(50))
    assert not np.array_equal(orders[0], orders[1])
    assert [len(labels) for _, labels in batches[:4]] == [16, 16, 16, 2]


def test_resumed_run_sees_the_same_batches(split):
    undisturbed = take(split, 12)[8:]
    resumed = take(split, 4, first_epoch=2)
    for (images, labels), (images_again, labels_again) in zip(
        undisturbed, resumed
    ):
        np.testing.assert_array_equal(images, images_again)
        np.testing.assert_array_equal(labels, labels_again)


def test_augmentation_differs_between_epochs_and_steps(split):
    split = data.Split(np.repeat(split.images[9:10], 50, 0), split.labels)
    batches = [images[:2] for images, _ in take(split, 8)]
    distinct = {images.tobytes() for images in batches}
    assert len(distinct) == 8


def test_images_follow_their_labels(split):
    ((images, labels),) = take(split, 1, data.Crop(0, False))
    np.testing.assert_allclose(images[:, 0, 0, 0], labels * 5 / 255, rtol=1e-6)


def test_drop_remainder(split):
    assert data.steps(split, 16, drop_remainder=True) == 3
    sizes = [len(y) for _, y in take(split, 6, drop_remainder=True)]
    assert sizes == [16] * 6


def test_evaluation_keeps_the_order(split):
    batches = data.evaluation_batches(split, PLAIN, 20)
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(labels, split.labels)


def test_no_tuner_delays_the_end_of_an_iterator(split):
    for batches in (
        data.training_batches(split, PLAIN, data.Order(16, 1), CROP),
        data.evaluation_batches(split, PLAIN),
    ):
        assert batches.options().autotune.enabled is False


@pytest.mark.parametrize("workers, parts", [(2, 1), (4, 1), (2, 2)])
def test_workers_together_have_what_one_has(split, workers, parts):
    alone = take(split, 6, drop_remainder=True)
    shares = [
        take(
            split,
            6 * parts,
            drop_remainder=True,
            worker=worker,
            workers=workers,
            parts=parts,
        )
        for worker in range(workers)
    ]
    for step, (images, labels) in enumerate(alone):
        own = [
            share[parts * step + part]
            for share in shares
            for part in range(parts)
        ]
        # Down to the random crops.
        found = np.concatenate([images for images, _ in own])
        np.testing.assert_array_equal(found, images)
        found = np.concatenate([labels for _, labels in own])
        np.testing.assert_array_equal(found, labels)


def test_evaluation_of_workers_is_the_whole_in_order(split):
    shares = [
        list(data.evaluation_batches(split, PLAIN, 9, worker, 3))
        for worker in range(3)
    ]
    assert [sum(len(x) for _, x in share) for share in shares] == [16, 17, 17]
    labels = [labels for share in shares for _, labels in share]
    np.testing.assert_array_equal(np.concatenate(labels), split.labels)


def test_evaluation_on_replicas_leaves_none_without_an_image(
    split, mirrored, monkeypatch
):
    monkeypatch.setattr(data.pipeline, "_MOST_IMAGES", 7)
    with mirrored.scope():
        batches, steps = data.distributed_evaluation(split, PLAIN)
        sizes, labels = [], []
        for _, values in itertools.islice(batches, steps):
            parts = mirrored.experimental_local_results(values)
            sizes += [len(part) for part in parts]
            labels += [part.numpy() for part in parts]
        few = data.Split(split.images[:1], split.labels[:1])
        with pytest.raises(UserError, match="1 images cannot be shared"):
            data.distributed_evaluation(few, PLAIN)
    # Four steps of two replicas, as three would take eight images at once.
    assert sizes == [6, 6, 6, 7, 6, 6, 6, 7]
    np.testing.assert_array_equal(np.concatenate(labels), split.labels)
