import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.errors import UserError
from indistill_tf.graph.heads import Head

# Of one sigmoid 0.8 and 0.5; of three.
ONE = np.log([[4.0], [1.0]])
THREE = np.log([[4.0, 1.0, 0.25], [1.0, 4.0, 4.0]])


@pytest.mark.parametrize("labels", [[1, 0], [[1], [0]]])
def test_one_sigmoid(labels):
    labels = np.array(labels)
    value = losses.SigmoidCrossentropy()(labels, ONE)
    assert float(value) == pytest.approx(-np.log(0.8 * 0.5) / 2)
    probabilities = 1 / (1 + np.exp(-ONE))
    value = losses.SigmoidCrossentropy(from_logits=False)(labels, probabilities)
    assert float(value) == pytest.approx(-np.log(0.8 * 0.5) / 2, rel=1e-5)


@pytest.mark.parametrize("labels", [[0, 2], [[0], [2]], [[1, 0, 0], [0, 0, 1]]])
def test_several_sigmoids(labels):
    value = losses.SigmoidCrossentropy()(np.array(labels), THREE)
    right = 0.8 * 0.5 * 0.8 * 0.5 * 0.2 * 0.8
    assert float(value) == pytest.approx(-np.log(right) / 6)


def test_smoothing_and_config():
    loss = losses.SigmoidCrossentropy(label_smoothing=0.5)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(loss)
    )
    value = float(again(np.array([1]), ONE[:1]))
    assert value == pytest.approx(-(0.75 * np.log(0.8) + 0.25 * np.log(0.2)))
    with pytest.raises(UserError, match="from 0 to below 1. Received: 1"):
        losses.SigmoidCrossentropy(label_smoothing=1)


def test_labels_that_do_not_fit():
    with pytest.raises(UserError, match=r"1 sigmoid.*\(2, 2\).*0 or 1"):
        losses.SigmoidCrossentropy()(np.eye(2), ONE)


@pytest.mark.parametrize("kind, cut", [("logits", 0.0), ("sigmoid", 0.5)])
def test_accuracy_of_sigmoids(kind, cut):
    accuracy = losses.accuracy(Head(kind, True, None))
    outputs = np.array([[cut + 0.2], [cut - 0.2], [cut + 0.1]])
    values = accuracy(np.array([1, 1, 0]), outputs)
    np.testing.assert_array_equal(values, [1, 0, 0])
    outputs = np.array([[cut + 0.2, cut + 0.3, cut - 0.1]])
    np.testing.assert_allclose(accuracy([[1, 0, 0]], outputs), [2 / 3])
    np.testing.assert_array_equal(accuracy(np.array([1]), outputs), [1])


def test_of_classes():
    assert losses.accuracy() == "accuracy"
    for kind, from_logits in (("logits", True), ("softmax", False)):
        loss = losses.crossentropy(Head(kind, False, None))
        assert isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        assert loss.get_config()["from_logits"] == from_logits
