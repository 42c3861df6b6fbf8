"""Images prepared by tf.data service, here with two workers in this process."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.data import service
from indistill_tf.errors import UserError


@pytest.fixture(scope="module")
def cluster():
    servers = tf.data.experimental.service
    dispatcher = servers.DispatchServer(servers.DispatcherConfig(port=0))
    address = dispatcher.target.partition("://")[2]
    workers = [
        servers.WorkerServer(
            servers.WorkerConfig(
                dispatcher_address=address, heartbeat_interval_ms=100
            )
        )
        for _ in range(2)
    ]
    yield dispatcher.target
    del workers


def batches(images, address, **options):
    return data.training_batches(
        images.train.served_by(address),
        images.preprocessing,
        data.Order(10, 0, **options),
        images.train.augmentation(),
        sample_ids=True,
    )


@pytest.mark.parametrize("kind", ["tfrecord", "folder"])
@pytest.mark.parametrize("epochs", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_an_epoch_is_complete(load_encoded, cluster, kind, epochs):
    images = load_encoded(kind)
    served = list(batches(images, cluster, epochs=epochs))
    ids = np.concatenate([x["sample_id"] for x, _ in served])
    labels = np.concatenate([labels for _, labels in served])
    counts = np.bincount(ids, minlength=len(images.train))
    np.testing.assert_array_equal(counts, epochs)
    np.testing.assert_array_equal(labels, images.train.labels[ids])


def test_images_are_augmented_as_without_a_service(load_encoded, cluster):
    images = load_encoded("tfrecord")

    def by_id(address):
        served = batches(images, address, epochs=1)
        return {
            int(number): image
            for x, _ in served
            for number, image in zip(x["sample_id"], x["image"].numpy())
        }

    here, there = by_id(None), by_id(cluster)
    assert here.keys() == there.keys()
    for number, image in here.items():
        np.testing.assert_allclose(there[number], image, atol=1e-5)


def test_first_classes_and_no_end(load_encoded, cluster):
    images = load_encoded("tfrecord", classes=500)
    served = list(itertools.islice(batches(images, cluster), 6))
    for x, labels in served:
        assert len(labels) == 10
        expected = images.train.labels[x["sample_id"].numpy()]
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    "address", ["localhost:5000", "grpc://host", "grpc://:1", "grpc://h:x", ""]
)
def test_malformed_address(address):
    with pytest.raises(UserError, match="looks like grpc://host:5000. Receiv"):
        service.check(address)


def test_nothing_answers(load_encoded):
    with pytest.raises(UserError, match="No data service answers at grpc://1"):
        batches(load_encoded("tfrecord"), "grpc://127.0.0.1:1")


def test_what_a_service_cannot_prepare(load_encoded, cluster, small_images):
    with pytest.raises(UserError, match="cannot read ArrayRecord files"):
        batches(load_encoded("array_record"), cluster)
    with pytest.raises(UserError, match="these are held in memory"):
        batches(small_images, cluster)
