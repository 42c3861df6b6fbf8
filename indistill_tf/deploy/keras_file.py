"""Keras files of a student that read pixels, of the network's size.

A file holds a functional model from `image` `[N, H, W, C]`, pixel values
0..255, to a dict of `probabilities` and `embedding`, see `Deployable`. What
stands before and behind the network are layers of Keras, so that Keras alone
reads the file where the network has no layer of this package.
"""

import keras
from keras import layers

from indistill_tf.deploy.deployable import EMBEDDING
from indistill_tf.deploy.deployable import PROBABILITIES
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.hints import Path


def model(deployable: Deployable) -> keras.Model:
    """Returns a Keras model from pixels to named outputs.

    Args:
        deployable: `Deployable`, whose layers it has.
    """
    preprocessing = deployable.preprocessing
    images = keras.Input(deployable.input_shape, name="image")
    pixels = layers.Rescaling(
        [1 / (255 * std) for std in preprocessing.std],
        [-m / s for m, s in zip(preprocessing.mean, preprocessing.std)],
        dtype="float32",
    )(images)
    said = deployable.network(pixels)
    activation = layers.Activation(
        "sigmoid" if deployable.sigmoid else "softmax", dtype="float32"
    )
    unit_length = layers.UnitNormalization(axis=-1, dtype="float32")
    return keras.Model(
        images,
        {
            PROBABILITIES: activation(said["logits"]),
            EMBEDDING: unit_length(said["embedding"]),
        },
        name=deployable.name,
    )


def write(deployable: Deployable, path: Path) -> None:
    """Writes a Keras file.

    Args:
        deployable: `Deployable`.
        path: the file, which ends in `.keras`.
    """
    model(deployable).save(path)
