import keras
import numpy as np
import pytest
from keras import layers

import indistill_tf
from indistill_tf import methods
from indistill_tf.distillation.schedules import Curriculum

IMAGES = np.random.default_rng(0).normal(size=(24, 8, 8, 1)).astype("float32")
LABELS = np.arange(24) % 3


def network(width):
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(width, 3, activation="relu", name="map_1")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


class Tiny:
    """A distiller whose steps compile in tenths of a second.

    Of `"indistill"` the warm-up has `warm_up` epochs, and the task the labels.
    """

    data = (IMAGES, LABELS)

    def make(self, optimizer="adam", method="indistill", warm_up=2, **changes):
        keras.utils.set_random_seed(0)
        options = {}
        if method == "indistill":
            changes.setdefault("supervised_weight", 1.0)
            changes["schedule"] = Curriculum(warm_up, 0)
            options["taps"] = [("map_1", "map_1")]
        distiller = indistill_tf.Distiller(
            teacher=network(4),
            student=network(2),
            method=methods.get(method, **changes),
            **options,
        )
        distiller.compile(optimizer, metrics=["accuracy"])
        return distiller

    def fit(self, distiller, **options):
        options = {"batch_size": 12, "epochs": 4, "verbose": 0, **options}
        return distiller.fit(*self.data, shuffle=False, **options)


@pytest.fixture(scope="session")
def tiny():
    return Tiny()
