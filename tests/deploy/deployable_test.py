import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError


def test_outputs_are_those_of_the_network(build, small_images):
    model, preprocessing = build("cnn_s"), small_images.preprocessing
    images = small_images.test.images[:5]
    deployable = Deployable(model, preprocessing, small_images.class_names)
    logits = model(preprocessing(images))
    for said in (
        deployable(images),
        deployable.answer(deployable.sized(images)),
        deployable.function(5)(tf.constant(deployable.sized(images))),
        deployable.predict(images, batch_size=2),
    ):
        assert set(said) == {"probabilities", "embedding"}
        np.testing.assert_allclose(
            said["probabilities"], tf.nn.softmax(logits), atol=1e-6
        )
        length = np.linalg.norm(said["embedding"], axis=1)
        np.testing.assert_allclose(length, 1, atol=1e-6)


def test_outputs_are_float32_whatever_it_computes_in(small_images):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        images = keras.Input((32, 32, 1))
        outputs = layers.Dense(3)(layers.Flatten()(images))
        model = keras.Model(images, outputs)
    finally:
        keras.config.set_dtype_policy("float32")
    said = Deployable(model, small_images.preprocessing)(
        small_images.test.images[:2]
    )
    assert said["probabilities"].dtype == said["embedding"].dtype == tf.float32


class Subclassed(keras.Model):
    def call(self, images):
        return images


def test_a_subclassed_model_is_refused(small_images):
    with pytest.raises(UserError, match="'subclassed.*' cannot be shipped"):
        Deployable(Subclassed(), small_images.preprocessing)


def test_outputs_that_are_not_finite(small_images):
    images = keras.Input((32, 32, 1))
    x = layers.Rescaling(3e38)(layers.Flatten()(images))
    model = keras.Model(images, layers.Dense(2)(x))
    deployable = Deployable(model, small_images.preprocessing)
    with pytest.raises(UserError, match="Outputs 'probabilities' of model"):
        deployable.predict(small_images.test.images[:3])
