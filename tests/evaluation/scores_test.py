import json

import numpy as np
import pytest

from indistill_tf import evaluation


def test_scores(build, small_images):
    model, teacher = build("cnn_s"), build("cnn_a")
    scores = evaluation.score(model, small_images, teacher, ranks=(1, 5, 9999))
    json.dumps(scores)
    images = small_images.preprocessing(small_images.test.images)
    predicted = np.argmax(model(images), axis=1)
    expected = np.mean(predicted == small_images.test.labels)
    assert scores["accuracy"] == pytest.approx(expected)
    agreement = np.mean(predicted == np.argmax(teacher(images), axis=1))
    assert scores["agreement"] == pytest.approx(agreement)
    assert scores["parameters"] == 14_906
    standard = scores["retrieval"]["cosine"]["standard"]
    assert set(standard) == {"map", "p@1", "p@5"}
    # An untrained network separates clothes somewhat better than chance.
    assert 0.1 < standard["map"] < 0.9


def test_outputs_are_those_of_the_model(build, small_images):
    model = build("cnn_s")
    values = evaluation.outputs(
        model, small_images.test, small_images.preprocessing
    )
    images = small_images.preprocessing(small_images.test.images)
    np.testing.assert_allclose(values["logits"], model(images), atol=1e-5)
    assert values["embedding"].shape == (200, 64)
