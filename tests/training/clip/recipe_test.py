import keras
import pytest

from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.training import PairRecipe


def test_warm_up_then_cosine():
    recipe = PairRecipe(epochs=4, learning_rate=0.8, warm_up=0.25)
    rate = recipe.optimizer(10, [])._learning_rate
    # Ten steps up, thirty down; in their middle half of the rate.
    found = [float(rate(step)) for step in (0, 5, 10, 25, 40)]
    assert found == pytest.approx([0, 0.4, 0.8, 0.4, 0], abs=1e-6)
    rate = PairRecipe(warm_up=0.0).optimizer(10, [])._learning_rate
    assert float(rate(0)) == pytest.approx(1e-3)


def test_what_decays():
    text = models.build_text("text_32", context_length=4, vocabulary_size=9)
    recipe = PairRecipe(weight_decay=0.5, warm_up=0.0, learning_rate=0.1)
    optimizer = recipe.optimizer(10, text.trainable_variables)
    optimizer.build(text.trainable_variables)
    gradients = [
        keras.ops.zeros_like(v.value) for v in text.trainable_variables
    ]
    for variable in text.trainable_variables:
        variable.assign(keras.ops.ones_like(variable))
    optimizer.apply(gradients, text.trainable_variables)
    for variable in text.trainable_variables:
        kernel = variable.path.split("/")[-1] in ("kernel", "embeddings")
        position = variable.path.endswith("positions/embedding")
        expected = 0.95 if kernel or position else 1.0
        assert float(variable.numpy().ravel()[0]) == pytest.approx(expected)


def test_refusals():
    with pytest.raises(UserError, match="`epochs` must be above 0"):
        PairRecipe(epochs=0)
    with pytest.raises(UserError, match="two pairs or more"):
        PairRecipe(batch_size=1)
    with pytest.raises(UserError, match="warm_up=1.0"):
        PairRecipe(warm_up=1.0)
