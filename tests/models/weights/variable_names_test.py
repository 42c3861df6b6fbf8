import keras
import pytest
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.models.weights.variable_names import variables_by_name


def test_names():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="a")])
    attention = layers.MultiHeadAttention(1, 2, use_bias=False, name="heads")
    inputs = keras.Input((3, 4))
    x = attention(inputs, inputs)
    x = layers.Dense(4, use_bias=False, name="fc")(x)
    model = keras.Model(inputs, layers.TimeDistributed(inner, name="b")(x))
    names = list(variables_by_name(model))
    assert names[:5] == [
        "heads.query.kernel",
        "heads.key.kernel",
        "heads.value.kernel",
        "heads.attention_output.kernel",
        "fc.kernel",
    ]
    assert [name[:2] for name in names[5:]] == ["b.", "b."]
    assert [name.split(".")[-1] for name in names[5:]] == ["kernel", "bias"]


def test_a_sequential_model_has_the_names_of_its_layers():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="a")])
    assert list(variables_by_name(model)) == ["a.kernel", "a.bias"]


def test_equal_names():
    class Twice(layers.Layer):
        def build(self, shape):
            self.first = self.add_weight(shape=(1,), name="weight")
            self.second = self.add_weight(shape=(1,), name="weight")

        def call(self, x):
            return x * self.first * self.second

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Twice(name="a")(inputs))
    with pytest.raises(UserError, match="two variables a.weight"):
        variables_by_name(model)
