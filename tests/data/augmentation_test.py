import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.errors import UserError


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(1, 256, (64, 12, 10, 3), "uint8")


def candidates(image, padding, flip):
    padded = np.pad(image, [(padding, padding)] * 2 + [(0, 0)])
    height, width = image.shape[:2]
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[top : top + height, left : left + width]
            yield crop
            if flip:
                yield crop[:, ::-1]


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("padding", [0, 2])
def test_every_result_is_a_crop_of_its_own_image(images, padding, flip):
    crops = data.crop_and_flip(images, [3, 4], padding, flip).numpy()
    assert crops.dtype == images.dtype
    for image, crop in zip(images, crops):
        matches = [
            np.array_equal(crop, c) for c in candidates(image, padding, flip)
        ]
        assert sum(matches) == 1


def test_all_shifts_and_both_directions_occur(images):
    image = np.repeat(images[:1], 500, axis=0)
    crops = data.crop_and_flip(image, [0, 1], 1, True).numpy()
    expected = [c.tobytes() for c in candidates(images[0], 1, True)]
    counts = [sum(f.tobytes() == e for f in crops) for e in expected]
    assert sum(counts) == 500
    # 18 outcomes of probability 1/18: 28 each, five deviations away at most.
    assert min(counts) > 2 and max(counts) < 54


def test_seed_decides(images):
    first, again, other = (
        data.crop_and_flip(images, seed).numpy()
        for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_same_inside_a_graph(images):
    graph = tf.function(data.crop_and_flip)(tf.constant(images), [1, 2])
    np.testing.assert_array_equal(graph, data.crop_and_flip(images, [1, 2]))


def test_values_are_json_ready_and_equal_by_content():
    for value in (data.Crop(2, False), data.RandomResizedCrop(False)):
        text = json.dumps(dataclasses.asdict(value))
        assert type(value)(**json.loads(text)) == value
    assert data.Crop() == data.Crop(padding=4, flip=True)


def test_nothing_to_do_leaves_images_as_they_are(images):
    nothing = data.Crop(0, False)
    assert not nothing.changes
    np.testing.assert_array_equal(nothing(images, [1, 2]), images)
    assert data.Crop(0, True).changes and data.Crop(1, False).changes


@pytest.mark.parametrize("padding", [-1, 1.5, True, None, "4"])
def test_padding_is_a_number_of_pixels(padding):
    with pytest.raises(UserError, match="`padding` must be a whole number"):
        data.Crop(padding)


@pytest.mark.parametrize("kind", [data.Crop, data.RandomResizedCrop])
def test_flip_is_a_boolean(kind):
    with pytest.raises(UserError, match="`flip` must be True or False. Rece"):
        kind(flip=1)
