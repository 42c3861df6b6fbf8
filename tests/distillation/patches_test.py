import numpy as np
import pytest
from keras import layers

from indistill_tf.distillation.patches import patches


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": (2, 5), "padding": "same", "strides": 2},
        {"kernel_size": 3, "strides": (1, 3)},
        {"kernel_size": 3, "padding": "same", "dilation_rate": (2, 1)},
        {"kernel_size": 1, "padding": "same", "strides": 3},
    ],
)
def test_a_convolution_is_a_product_of_its_patches(size, options):
    random = np.random.default_rng(0)
    maps = random.normal(size=(2, size, size + 2, 3)).astype("float32")
    layer = layers.Conv2D(4, use_bias=False, **options)
    expected = np.asarray(layer(maps)).reshape(2, -1, 4)
    chosen = random.integers(0, expected.shape[1], (2, 5))
    found = patches(layer, maps, chosen) @ np.reshape(layer.kernel, (-1, 4))
    expected = np.stack([expected[0, chosen[0]], expected[1, chosen[1]]])
    np.testing.assert_allclose(found, expected, atol=1e-5)
