import keras
import pytest
from keras import layers

from indistill_tf import endpoints
from indistill_tf import evaluation
from indistill_tf import models
from indistill_tf.errors import UserError


@pytest.mark.parametrize(
    "depth, width, classifier",
    [
        (2, 8 * 8 * 32, "fc"),
        (4, 8 * 8 * 64, "fc"),
        (6, 8 * 8 * 128, "fc"),
        (8, 64, "fc2"),
        (10, 512, "fc2"),
    ],
)
def test_the_classifier_reads_the_embedding(depth, width, classifier):
    model = models.build(f"plain_{depth}", (32, 32, 3), 10)
    embedding = endpoints.endpoint(model, "embedding")
    assert embedding.shape == (None, width)
    assert model.get_layer(classifier).input is embedding
    convolutions = [x for x in model.layers if isinstance(x, layers.Conv2D)]
    assert [layer.name for layer in convolutions] == [
        f"conv{i}" for i in range(1, depth + 1)
    ]


def test_names():
    model = models.build("plain_6", (32, 32, 3), 10)
    names = [layer.name for layer in model.layers]
    assert names[7:] == [
        "relu3",
        "conv4",
        "relu4",
        "tap_2",
        "conv5",
        "relu5",
        "conv6",
        "tap_3",
        "embedding",
        "fc",
        "logits",
    ]


def test_batch_normalisation_is_an_option():
    options = {"batch_norm": True, "synchronized": True}
    model = models.build("plain_4", (32, 32, 3), 100, **options)
    # 475,268 without, and twice 32 + 32 + 64 + 64.
    assert evaluation.parameters(model) == 475_652
    for index in (1, 2, 3, 4):
        norm = model.get_layer(f"bn{index}")
        assert norm.synchronized
        assert norm.input is model.get_layer(f"conv{index}").output
        assert model.get_layer(f"relu{index}").input is norm.output
    plain = models.build("plain_4", (32, 32, 3), 100)
    norms = keras.layers.BatchNormalization
    assert not any(isinstance(layer, norms) for layer in plain.layers)


def test_errors():
    with pytest.raises(UserError, match=r"\[2, 4, 6, 8, 10\].*depth=3"):
        models.plain_cnn((32, 32, 3), 10, depth=3)
    with pytest.raises(UserError, match="1 x 1 pixels meets a window of 2"):
        models.build("plain_8", (15, 15, 3), 10)
    models.build("plain_8", (16, 16, 3), 10)
