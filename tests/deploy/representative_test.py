import numpy as np
import pytest

from indistill_tf.deploy import representative
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError


@pytest.fixture(scope="module")
def deployable(build, small_images):
    return Deployable(build("cnn_s"), small_images.preprocessing)


@pytest.fixture(scope="module")
def images(small_images):
    return small_images.train.images[:4, 2:30, 2:30]


def test_images_come_at_the_size_of_the_network(deployable, images):
    found = representative.checked(deployable, images)
    assert (found.shape, found.dtype) == ((4, 32, 32, 1), np.uint8)
    np.testing.assert_array_equal(found[:, 2:30, 2:30], images)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: None, "Received: none"),
        (lambda x: x[:0], "Received: none"),
        (lambda x: x[0], r"shape \(N, H, W, 1\). Received: \(28, 28, 1\)"),
        (lambda x: np.repeat(x, 3, axis=3), r"Received: \(4, 28, 28, 3\)"),
        (lambda x: x / 255, "Received: float64 from 0 to 1"),
        (lambda x: x * np.float32("nan"), "float32 with 3136 not finite"),
        (lambda x: x.astype("int32"), "Received: int32"),
        (lambda x: np.full_like(x, 7), "4 whose pixels are all 7"),
        (lambda x: x // 128, "values 0 and 1 alone"),
    ],
)
def test_what_is_no_representative_image(deployable, images, change, message):
    with pytest.raises(UserError, match=message):
        representative.checked(deployable, change(images))
