import numpy as np
import pytest

from indistill_tf.errors import UserError
from indistill_tf.evaluation import zero_shot


def test_class_embeddings_by_hand():
    said = {
        "a cat": [2.0, 0.0],
        "one cat": [0.0, 3.0],
        "a dog": [-1.0, 0.0],
        "one dog": [-5.0, 0.0],
    }
    embeddings = zero_shot.class_embeddings(
        lambda texts: np.array([said[text] for text in texts]),
        ["cat", "dog"],
        ["a {}", "one {}"],
    )
    # The mean of (1, 0) and (0, 1), brought to unit length.
    half = np.sqrt(0.5)
    np.testing.assert_allclose(embeddings, [[half, half], [-1, 0]], atol=1e-6)


def test_template_without_a_name():
    with pytest.raises(UserError, match="A template needs {}"):
        zero_shot.class_embeddings(np.array, ["cat"], ["a photo"])


def test_accuracy_is_of_directions():
    images = np.array([[9.0, 1.0], [0.1, 0.2], [-1.0, 0.5], [1.0, 2.0]])
    classes = np.array([[1.0, 0.0], [0.0, 100.0]])
    accuracy = zero_shot.zero_shot_accuracy(images, classes, [0, 1, 0, 1])
    assert accuracy == 0.75


def test_retrieval_by_hand():
    # Images 0 and 1 share the caption "x", which counts once.
    captions = ["x", "y", "x", "z"]
    image_of = [0, 0, 1, 2]
    texts = np.array([[1.0, 0], [0, 1.0], [1.0, 0], [1.0, 1.0]])
    images = np.array([[0.1, 1.0], [1.0, 1.1], [1.0, -1.0]])
    recalls = zero_shot.image_text_retrieval(
        images, texts, captions, image_of, ranks=(1, 2, 3)
    )
    # Image 0 is nearest to its "y". Image 1: z, y, then x. Image 2: x, then z.
    assert recalls["image_to_text_r@1"] == pytest.approx(1 / 3)
    assert recalls["image_to_text_r@2"] == pytest.approx(2 / 3)
    assert recalls["image_to_text_r@3"] == 1.0
    # "x" is nearest to image 2, then to its own image 1. "y" has image 0
    # first, "z" images 1 and 0 before its own 2.
    assert recalls["text_to_image_r@1"] == pytest.approx(1 / 3)
    assert recalls["text_to_image_r@2"] == pytest.approx(2 / 3)
    assert recalls["text_to_image_r@3"] == 1.0


def test_embeddings_that_are_all_alike_find_nothing():
    ones = np.ones((4, 3))
    recalls = zero_shot.image_text_retrieval(
        ones, ones, list("abcd"), range(4), ranks=(1, 3, 4)
    )
    assert recalls["image_to_text_r@3"] == 0.0
    assert recalls["text_to_image_r@4"] == 1.0


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(2, 20, 4))
    captions = [str(i % 13) for i in range(20)]
    whole = zero_shot.image_text_retrieval(images, texts, captions, range(20))
    monkeypatch.setattr(zero_shot, "_AT_A_TIME", 60)
    parts = zero_shot.image_text_retrieval(images, texts, captions, range(20))
    assert whole == parts
    assert 0 < whole["image_to_text_r@5"] < 1
