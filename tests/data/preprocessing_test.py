import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.data import preprocessing as preprocessing_lib
from indistill_tf.data.resizing import antialiased
from indistill_tf.errors import UserError


def test_normalisation():
    preprocessing = data.Preprocessing((1, 1), (0.5, 0.2), (0.25, 0.1))
    normal = preprocessing(np.array([[[[255, 51]]]], "uint8"))
    np.testing.assert_allclose(normal, [[[[2.0, 0.0]]]], atol=1e-6)


def test_padding_centres_on_black():
    preprocessing = data.Preprocessing((4, 4), (0.0,), (1.0,), "pad")
    sized = preprocessing.fit_size(np.full((1, 2, 2, 1), 7, "uint8"))
    expected = np.pad(np.full((2, 2), 7), 1)
    np.testing.assert_array_equal(sized[0, :, :, 0], expected)


def test_bilinear_keeps_dtype_and_range():
    preprocessing = data.Preprocessing((4, 4), (0.0,), (1.0,))
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), "uint8")
    sized = preprocessing.fit_size(tf.constant(images))
    assert sized.dtype == tf.uint8
    assert sized.shape == (2, 4, 4, 3)
    constant = preprocessing.fit_size(np.full((1, 9, 7, 3), 200, "uint8"))
    np.testing.assert_array_equal(constant, np.full((1, 4, 4, 3), 200))


def test_too_large_to_pad():
    preprocessing = data.Preprocessing((4, 4), (0.0,), (1.0,), "pad")
    with pytest.raises(UserError, match="5 pixels cannot be padded to 4"):
        preprocessing(np.zeros((1, 4, 5, 1), "uint8"))


def test_unknown_resize():
    with pytest.raises(UserError, match="'bilinear', 'pad'"):
        data.Preprocessing((4, 4), (0.0,), (1.0,), "stretch")


def test_input_shape():
    assert data.Preprocessing((4, 5), (0,) * 3, (1,) * 3).input_shape == (
        4,
        5,
        3,
    )


CROP = data.Preprocessing((7, 7), (0.0,), (1.0,), "crop")


def test_crop_of_an_image_that_needs_no_resizing():
    # The shorter side becomes 7 * 256 / 224 = 8: an 8 x 12 image stays, and
    # the middle 7 x 7 of it begins at row 0 and column 2.
    image = np.arange(96, dtype="uint8").reshape(1, 8, 12, 1)
    sized = CROP.fit_size(image)
    np.testing.assert_array_equal(sized, image[:, 0:7, 2:9])
    upright = image.transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(CROP.fit_size(upright), upright[:, 2:9, 0:7])


def test_crop_resizes_the_shorter_side():
    # 16 x 24 becomes 8 x 12. A ramp halved with antialiasing is the ramp at
    # the middle of each pair of columns: column j is 10 (2 j + 1/2), and the
    # crop begins at column 2.
    ramp = np.tile(10.0 * np.arange(24, dtype="float32"), (16, 1))
    sized = CROP.fit_size(ramp[None, :, :, None])[0, :, :, 0]
    assert sized.shape == (7, 7)
    expected = 10 * (2 * np.arange(2, 9) + 0.5)
    np.testing.assert_allclose(sized[3], expected, rtol=1e-4)


@pytest.mark.parametrize("size", [(375, 500), (500, 333), (224, 224), (90, 70)])
def test_crop_at_imagenets_size(size, monkeypatch):
    crop = data.Preprocessing((224, 224), (0.0,), (1.0,), "crop")
    seen = []

    def spy(images, size):
        seen.append([int(side) for side in size])
        return antialiased(images, size)

    monkeypatch.setattr(preprocessing_lib, "antialiased", spy)
    sized = crop.fit_size(np.full((1, *size, 1), 9, "uint8"))
    expected = {
        (375, 500): [256, 341],
        (500, 333): [384, 256],
        (224, 224): [256, 256],
        (90, 70): [329, 256],
    }
    assert seen == [expected[size]]
    np.testing.assert_array_equal(sized, np.full((1, 224, 224, 1), 9))


def test_crop_of_unknown_size_in_a_graph():
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 13, 1), "uint8")
    spec = tf.TensorSpec((None, None, None, 1), tf.uint8)
    graph = tf.function(CROP, input_signature=[spec])
    assert graph(images).shape == (2, 7, 7, 1)
    np.testing.assert_allclose(graph(images), CROP(images), atol=1e-6)


def test_normalisation_by_rows_and_with_unknown_width():
    preprocessing = data.Preprocessing((4, 5), (0.5, 0.2), (0.25, 0.1))
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 2), "uint8")
    expected = (images / 255 - [0.5, 0.2]) / [0.25, 0.1]
    unknown = tf.TensorSpec((None, None, None, 2), tf.uint8)
    graph = tf.function(preprocessing.normalize, input_signature=[unknown])
    for normal in (preprocessing.normalize(images), graph(images)):
        np.testing.assert_allclose(normal, expected, atol=1e-5)
