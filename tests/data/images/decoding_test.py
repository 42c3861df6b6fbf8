import math

import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data


def windows(height, width, count, **options):
    draws = np.random.default_rng(0).random((count, 22), "float32")
    return np.asarray(
        tf.vectorized_map(
            lambda row: data.random_window(height, width, row, **options),
            tf.constant(draws),
        )
    )


def test_area_and_ratio_are_as_defined():
    # In a square the windows that do not fit are few below half the area, so
    # there the definition shows undistorted by later attempts.
    chosen = windows(1000, 1000, 20_000, scale=(0.08, 0.5))
    area = chosen[:, 2] * chosen[:, 3] / 1e6
    assert area.min() == pytest.approx(0.08, abs=0.002)
    assert area.max() == pytest.approx(0.5, abs=0.002)
    # Uniform: mean 0.29, deviation 0.42 / sqrt(12); 20,000 windows.
    assert area.mean() == pytest.approx(0.29, abs=5 * 0.1212 / 141)
    assert area.std() == pytest.approx(0.1212, rel=0.03)
    logs = np.log(chosen[:, 3] / chosen[:, 2])
    bound = math.log(4 / 3)
    assert logs.min() == pytest.approx(-bound, abs=0.01)
    assert logs.max() == pytest.approx(bound, abs=0.01)
    assert logs.mean() == pytest.approx(0, abs=5 * bound / math.sqrt(3) / 141)
    assert logs.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_windows_lie_within_the_image_everywhere():
    top, left, height, width = windows(60, 90, 5000).T
    assert top.min() == left.min() == 0
    assert (top + height).max() == 60
    assert (left + width).max() == 90
    # A window at a uniform place is as far from one edge as from the other.
    assert np.mean(top) == pytest.approx(np.mean(60 - top - height), abs=1)
    assert np.mean(left) == pytest.approx(np.mean(90 - left - width), abs=1)


def test_first_window_that_fits_by_hand():
    # Attempt 0 has the whole area at ratio 4/3: 115 wide, not in 100 x 100.
    # Attempt 1 has 0.08 + 0.92 * 0.5 = 0.54 of it at ratio 1: 73 x 73.
    draws = np.zeros(22, "float32")
    draws[[0, 10]] = 0.9999
    draws[[1, 11]] = 0.5
    draws[20:] = 0.5, 0.0
    window = data.random_window(100, 100, draws)
    # 28 places are free: the middle one is 14.
    np.testing.assert_array_equal(window, [14, 0, 73, 73])


@pytest.mark.parametrize(
    "size, expected",
    [
        # 4/3 as wide as high at most, 3/4 at least.
        ((30, 300), [0, 130, 30, 40]),
        ((300, 30), [130, 0, 40, 30]),
        ((1, 1), [0, 0, 1, 1]),
    ],
)
def test_where_no_window_fits_the_largest_is_centred(size, expected):
    draws = np.full(22, 0.9999, "float32")
    window = data.random_window(*size, draws)
    np.testing.assert_array_equal(window, expected)


@pytest.fixture(scope="module")
def picture():
    """A smooth picture: JPEG keeps it to a few grey levels."""
    rows, columns = np.mgrid[:90, :120]
    channels = [rows * 2, columns * 2, rows + columns]
    return np.stack(channels, axis=-1).astype("uint8")


def test_jpeg_and_png_of_one_picture_agree(picture):
    files = (
        tf.io.encode_png(picture),
        tf.io.encode_jpeg(picture, quality=100),
    )
    for seed in range(5):
        png, jpeg = (
            data.random_resized_crop(file, (24, 24), 3, [seed, 0])
            for file in files
        )
        assert png.dtype == tf.uint8
        np.testing.assert_allclose(
            tf.cast(png, tf.int32), tf.cast(jpeg, tf.int32), atol=6
        )


def test_the_part_is_where_the_window_says(picture):
    file = tf.io.encode_png(picture)
    directions = set()
    for seed in range(12):
        draws = tf.random.stateless_uniform((23,), [seed, 0])
        top, left, height, width = data.random_window(90, 120, draws[:22])
        part = picture[top : top + height, left : left + width]
        expected = tf.image.resize(part, (24, 24), antialias=True)
        mirrored = bool(draws[22] < 0.5)
        directions.add(mirrored)
        if mirrored:
            expected = expected[:, ::-1]
        image = data.random_resized_crop(file, (24, 24), 3, [seed, 0])
        np.testing.assert_allclose(image, expected, atol=0.51)
    assert directions == {True, False}


def test_without_mirroring_columns_ascend(picture):
    file = tf.io.encode_png(picture)
    for seed in range(8):
        image = data.random_resized_crop(file, (24, 24), 3, [seed, 0], False)
        assert image[0, -1, 1] > image[0, 0, 1]


def test_grey_images():
    grey = np.arange(100, dtype="uint8").reshape(10, 10, 1)
    for encode in (tf.io.encode_png, tf.io.encode_jpeg):
        image = data.random_resized_crop(encode(grey), (4, 6), 1, [0, 0])
        assert image.shape == (4, 6, 1)


@pytest.mark.parametrize("size", [(24, 24), (90, 120), (200, 200)])
def test_resizing_is_antialiased_whether_or_not_it_shrinks(picture, size):
    noise = np.random.default_rng(0).integers(0, 256, picture.shape, "uint8")
    file = tf.io.encode_png(noise)
    draws = tf.random.stateless_uniform((23,), [5, 0])
    top, left, height, width = data.random_window(90, 120, draws[:22])
    part = noise[top : top + height, left : left + width]
    expected = tf.image.resize(part, size, antialias=True)
    image = data.random_resized_crop(file, size, 3, [5, 0], flip=False)
    np.testing.assert_allclose(image, expected, atol=0.51)
