import keras
import numpy as np
import pytest

from indistill_tf.cifd import EmbeddingMatching
from indistill_tf.cifd import RateDistortionModules
from indistill_tf.cifd import Temperature
from indistill_tf.cifd import contrastive_loss
from indistill_tf.errors import UserError


def test_contrastive_by_hand():
    # Of unit length (1, 0), (0, 1) against (1, 0), (0.6, 0.8): similarities
    # [[1, 0.6], [0, 0.8]], over a temperature of 0.5 [[2, 1.2], [0, 1.6]].
    image = np.array([[3.0, 0.0], [0.0, 0.5]])
    text = np.array([[2.0, 0.0], [3.0, 4.0]])
    to_text = [np.log(1 + np.exp(1.2 - 2)), np.log(1 + np.exp(0 - 1.6))]
    to_image = [np.log(1 + np.exp(0 - 2)), np.log(1 + np.exp(1.2 - 1.6))]
    expected = np.mean(to_text) + np.mean(to_image)
    assert expected == pytest.approx(0.597472, abs=1e-6)
    value = float(contrastive_loss(image, text, 0.5))
    assert value == pytest.approx(expected, abs=1e-6)


def test_contrastive_of_what_cannot_be_told_apart():
    ones = np.ones((8, 3))
    value = float(contrastive_loss(ones, ones, 0.07))
    assert value == pytest.approx(2 * np.log(8), abs=1e-5)


def test_matching_by_hand():
    teacher = np.array([[2.0, 0.0], [0.0, 1.0]])
    student = np.array([[0.0, 1.0], [0.0, 3.0]])
    # Of unit length the first differ by (1, -1), the second not at all.
    assert float(EmbeddingMatching()(teacher, student)) == 0.5
    assert float(EmbeddingMatching(reduction="sum")(teacher, student)) == 1.0
    plain = EmbeddingMatching(normalized=False, reduction="sum")
    # (4 + 1) and 4, halved.
    assert float(plain(teacher, student)) == 4.5


@pytest.fixture
def modules():
    keras.utils.set_random_seed(1)
    return RateDistortionModules([5.0, 20.0], 4, architecture="clip")


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")


def parts(modules, teacher, student):
    teacher, student = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (teacher, student)
    )
    said = np.array(modules.frozen()(teacher)["reconstruction"])
    return [np.mean((x - student) ** 2) for x in (teacher, *said)]


def test_modules_speak_beside_the_teacher(modules, embeddings):
    matching = EmbeddingMatching(modules, module_weight=0.5, dropout=0.0)
    one, two, three = parts(modules, *embeddings)
    value = float(matching(*embeddings))
    assert value == pytest.approx(one + 0.5 * (two + three), rel=1e-5)
    assert matching.trainable_variables == []
    # Also of modules that are frozen already, as those from a file may be.
    again = EmbeddingMatching(modules.frozen())
    assert again.trainable_variables == []
    assert float(again(*embeddings, training=False)) == pytest.approx(
        one + two + three, rel=1e-5
    )


def test_guides_are_cut_in_training_alone(modules, embeddings):
    matching = EmbeddingMatching(modules, dropout=0.5, seed=0)
    whole = sum(parts(modules, *embeddings))
    values = [float(matching(*embeddings)) for _ in range(40)]
    assert min(values) == 0.0
    assert max(values) == pytest.approx(whole, rel=1e-5)
    assert len(set(np.round(values, 6))) == 8
    still = float(matching(*embeddings, training=False))
    assert still == pytest.approx(whole, rel=1e-5)


def test_config_with_modules(modules, embeddings):
    matching = EmbeddingMatching(modules, dropout=0.0, reduction="sum")
    copy = EmbeddingMatching.from_config(matching.get_config())
    assert copy.get_config()["reduction"] == "sum"
    assert copy.modules.modules == 2


def test_refusals(modules, embeddings):
    teacher, student = embeddings
    with pytest.raises(UserError, match="one width. Received: 4, 3 and None"):
        EmbeddingMatching()(teacher, student[:, :3])
    with pytest.raises(UserError, match="one width. Received: 3, 3 and 4"):
        EmbeddingMatching(modules)(teacher[:, :3], student[:, :3])
    with pytest.raises(UserError, match="`dropout` must be in"):
        EmbeddingMatching(dropout=1.0)
    blind = RateDistortionModules([1.0], 4, num_classes=3, reconstruction=False)
    with pytest.raises(UserError, match="these modules have none"):
        EmbeddingMatching(blind)


def test_temperature():
    temperature = Temperature()
    assert float(temperature.value()) == pytest.approx(0.07, rel=1e-5)
    assert float(temperature.logit_scale) == pytest.approx(2.65926, abs=1e-5)
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply([keras.ops.array(-9.0)], [temperature.logit_scale])
    assert float(temperature.value()) == pytest.approx(0.01, rel=1e-5)
    optimizer.apply([keras.ops.array(9.0)], [temperature.logit_scale])
    assert float(temperature.value()) == pytest.approx(1.0)
    copy = Temperature.from_config(Temperature(0.5).get_config())
    assert float(copy.value()) == pytest.approx(0.5)
