import numpy as np
import pytest

from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf.cifd import with_bottleneck


def test_embedding_as_it_is():
    network = models.build("cnn_s", (32, 32, 1), 10)
    tower = models.tower(network)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 1))
    expected = endpoints.named_view(network, ("embedding",))(images)
    np.testing.assert_array_equal(tower(images), expected["embedding"])
    assert tower.name == "cnn_s"


@pytest.mark.parametrize(
    "name, width",
    [("cnn_s", 64), ("text_32", 32)],
)
def test_linear_layer_to_another_width(name, width):
    if name in models.TEXT_BUILDERS:
        network = models.build_text(name, context_length=5, vocabulary_size=9)
        inputs = np.array([[7, 1, 8, 0, 0], [7, 8, 0, 0, 0]])
    else:
        network = models.build(name, (32, 32, 1), 10)
        inputs = np.random.default_rng(0).normal(size=(2, 32, 32, 1))
    tower = models.tower(network, 24)
    assert tower.output_shape == (None, 24)
    assert tower.get_layer("decoder").kernel.shape == (width, 24)
    kernel = tower.get_layer("decoder").kernel.numpy()
    assert kernel.std() == pytest.approx(width**-0.5, rel=0.1)
    # The noise goes in front of it.
    noisy = with_bottleneck(tower, 0.01)
    np.testing.assert_array_equal(noisy(inputs), tower(inputs))
