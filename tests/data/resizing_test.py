import numpy as np
import pytest
import tensorflow as tf

from indistill_tf.data.resizing import antialiased

SIZES = [(9, 14), (20, 31), (40, 5), (64, 64)]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("size", SIZES)
def test_values_are_those_of_tensorflow(size, dtype):
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 31, 3))
    images = images.astype(dtype)
    expected = tf.image.resize(images, size, antialias=True)
    resized = antialiased(images, size)
    assert resized.dtype == tf.float32
    np.testing.assert_allclose(resized, expected, rtol=1e-5)


def test_halving_by_hand():
    # A triangle of two pixels' width on either side: 1/8, 3/8, 3/8, 1/8, and
    # at a border, where one weight is missing, the others over 7/8.
    row = np.array([0, 80, 160, 240], "uint8")
    image = np.tile(row[:, None], (1, 4))[None, :, :, None]
    resized = antialiased(image, (2, 2))[0, :, :, 0]
    first = (3 * 0 + 3 * 80 + 160) / 7
    last = (80 + 3 * 160 + 3 * 240) / 7
    np.testing.assert_allclose(resized, [[first] * 2, [last] * 2], rtol=1e-5)


def test_unknown_sizes_in_a_graph():
    images = np.random.default_rng(0).integers(0, 256, (1, 20, 13, 1), "uint8")
    spec = tf.TensorSpec((None, None, None, 1), tf.uint8)
    graph = tf.function(
        lambda images: antialiased(images, (7, 5)), input_signature=[spec]
    )
    assert graph.get_concrete_function().output_shapes.rank == 4
    np.testing.assert_array_equal(graph(images), antialiased(images, (7, 5)))
