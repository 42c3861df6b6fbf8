import numpy as np
import pytest

from indistill_tf import data
from indistill_tf.errors import UserError

NOTHING = data.Crop(0, False)


@pytest.fixture
def split():
    images = np.random.default_rng(0).integers(1, 256, (30, 8, 8, 3), "uint8")
    return data.Split(images, np.arange(30, dtype="int32"))


def epochs(split, views, order, count):
    """Dicts from an image's position to its view and pixels, an epoch each."""
    batches = list(views.training(split, order).take(3 * count))
    shown = [{} for _ in range(count)]
    for images, labels, positions, chosen, epoch in batches:
        np.testing.assert_array_equal(labels, positions)
        first = order.first_epoch
        shown[int(epoch) - first] |= {
            int(position): (int(view), image.numpy().tobytes())
            for position, view, image in zip(positions, chosen, images)
        }
    return shown


def test_a_view_is_the_same_in_every_run(split):
    views = data.Views(3)
    pixels = {}
    for seed in (1, 2):
        for epoch in epochs(split, views, data.Order(10, seed), 4):
            for position, (view, image) in epoch.items():
                assert pixels.setdefault((position, view), image) == image
    # 81 crops and two directions: a few of 90 views may agree.
    assert len(pixels) == 90
    assert len(set(pixels.values())) > 85
    # The views of fewer are the first of more.
    np.testing.assert_array_equal(data.Views(2).crops(30), views.crops(30)[:2])


def test_views_take_turns_from_where_the_seed_begins(split):
    views = data.Views(3)
    turns_of = {
        seed: [
            [epoch[position][0] for position in range(30)]
            for epoch in epochs(split, views, data.Order(10, seed), 4)
        ]
        for seed in (1, 2)
    }
    for turns in turns_of.values():
        for before, after in zip(turns, turns[1:]):
            assert after == [(view + 1) % 3 for view in before]
        assert set(turns[0]) == {0, 1, 2}
    assert turns_of[1][0] != turns_of[2][0]


def test_order_is_that_of_the_images_without_views(split):
    order = data.Order(10, 5)
    plain = split.training(order, data.Crop()).take(6)
    views = data.Views(2).training(split, order).take(6)
    for (_, expected, _), (_, labels, *_) in zip(plain, views, strict=True):
        np.testing.assert_array_equal(labels, expected)


def test_resumed(split):
    views = data.Views(2)
    expected = epochs(split, views, data.Order(10, 3), 4)[2:]
    assert epochs(split, views, data.Order(10, 3, first_epoch=2), 2) == expected


def test_what_a_view_shows(split):
    views = data.Views(2, data.Crop(1))
    asked = np.array([7, 0], "int32"), np.array([1, 0], "int32")
    shown = views.shower(split)(*asked).numpy()
    for image, position, view in zip(shown, *asked):
        top, left, mirrored = views.crops(30)[view, position]
        padded = np.pad(split.images[position], [(1, 1), (1, 1), (0, 0)])
        expected = padded[top : top + 8, left : left + 8]
        if mirrored:
            expected = expected[:, ::-1]
        np.testing.assert_array_equal(image, expected)


def test_without_augmentation(split):
    shown = data.Views(1, NOTHING).shower(split)([3], [0])
    np.testing.assert_array_equal(shown[0], split.images[3])
    with pytest.raises(UserError, match="the 2 views of an image would be"):
        data.Views(2, NOTHING)
    with pytest.raises(UserError, match="one view of an image or more"):
        data.Views(0)


def test_of_images_in_memory_alone():
    with pytest.raises(UserError, match="memory are augmented by a `Crop`"):
        data.Views(2, data.RandomResizedCrop())
