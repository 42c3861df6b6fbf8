"""Splits in memory and in files are asked the same."""

import inspect

import numpy as np
import pytest

from indistill_tf import data
from indistill_tf.data.images import image_split
from indistill_tf.errors import UserError

ASKED = [
    name
    for name, value in vars(image_split.ImageSplit).items()
    if inspect.isfunction(value) and not name.startswith("_")
]


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("kind", [data.Split, data.EncodedSplit])
def test_every_split_takes_the_same(kind, name):
    expected = inspect.signature(getattr(image_split.ImageSplit, name))
    signature = inspect.signature(getattr(kind, name))
    assert name in vars(kind)
    assert signature.parameters == expected.parameters


@pytest.fixture
def splits(small_images, load_encoded):
    return small_images.train, load_encoded("tfrecord").train


def test_each_split_knows_its_augmentation(splits):
    memory, files = splits
    assert memory.augmentation(2, False) == data.Crop(2, False)
    assert files.augmentation(2, False) == data.RandomResizedCrop(False)
    for split, other in ((memory, files), (files, memory)):
        with pytest.raises(UserError, match="are augmented by a `.*Received"):
            split.training(data.Order(4, 0), other.augmentation())


def test_what_pixels_are_normalised_by(splits):
    memory, files = splits
    (mean,), (std,) = memory.statistics()
    pixels = memory.images / 255
    assert mean == pytest.approx(pixels.mean())
    assert std == pytest.approx(pixels.std())
    assert files.statistics()[0] == (0.485, 0.456, 0.406)
    assert [split.channels for split in splits] == [1, 3]


def test_files_that_are_whole(splits):
    for split in splits:
        split.check_files()


def test_no_service_changes_nothing(splits):
    memory, files = splits
    assert memory.served_by(None) is memory
    assert memory.shared_out
    assert files.served_by(None).shared_out


def test_unknown_resize():
    with pytest.raises(UserError, match="`resize` must be one of"):
        data.EncodedSplit(None, 3, (8, 8), "stretch")


def test_images_at_positions(splits):
    for split in splits:
        (whole, _), *_ = split.evaluation(len(split))
        images = split.images_at(np.array([2, 0, 2]))
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images, np.asarray(whole)[[2, 0, 2]])


@pytest.mark.parametrize(
    ("count", "positions"), [(1, [0]), (3, [0, 2, 5]), (9, [0, 1, 2, 3, 4, 5])]
)
def test_positions_that_are_evenly_spaced(count, positions):
    assert data.evenly_spaced(6, count).tolist() == positions
