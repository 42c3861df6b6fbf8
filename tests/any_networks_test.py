"""InDistill between networks of `keras.applications`, on embedded images.

One epoch a stage of 1,000 images resized to 64 pixels; minutes each, so slow.
"""

import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import Distiller
from indistill_tf import data
from indistill_tf import methods
from indistill_tf import schedules

BATCH = 50
STEPS = 1000 // BATCH


@pytest.fixture(scope="module")
def images():
    return data.load(
        "embedded",
        image_size=64,
        resize="bilinear",
        train_split="train[:1000]",
        test_split="test[:10]",
    )


def application(name, images):
    from indistill_tf import models

    normalization = images.preprocessing
    return models.build(
        name,
        images.input_shape,
        images.num_classes,
        mean=normalization.mean,
        std=normalization.std,
    )


def sequential(images):
    model = keras.Sequential([keras.Input(images.input_shape)])
    for width in (16, 32, 64, 128, 160):
        model.add(layers.Conv2D(width, 3, 2, padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(images.num_classes))
    return model


class BatchLosses(keras.callbacks.Callback):
    """Keeps the loss of every batch; `fit` reports the mean of an epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs = [*getattr(self, "epochs", []), []]

    def on_train_batch_end(self, batch, logs=None):
        done = sum(self.epochs[-1])
        self.epochs[-1].append((batch + 1) * float(logs["loss"]) - done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("teacher", "student", "pairs"),
    [
        ("ResNet50", "MobileNetV2", 5),
        ("EfficientNetB0", "MobileNetV3Small", 5),
        ("DenseNet121", None, 5),
    ],
)
def test_losses_fall_in_every_stage(images, teacher, student, pairs, capsys):
    keras.utils.set_random_seed(0)
    teacher = application(teacher, images)
    student = application(student, images) if student else sequential(images)
    schedule = schedules.Curriculum(a=1, b=0)
    method = methods.get("indistill", task="okd", schedule=schedule)
    distiller = Distiller(teacher=teacher, student=student, method=method)
    with capsys.disabled():
        print(f"\n{distiller.pairing}")
    assert len(distiller.taps) == pairs
    distiller.compile(optimizer="adam")
    losses = BatchLosses()
    distiller.fit(
        data.training_batches(
            images.train,
            images.preprocessing,
            data.Order(BATCH, 0),
            images.train.augmentation(),
        ),
        epochs=pairs + 1,
        steps_per_epoch=STEPS,
        callbacks=[losses],
        shuffle=False,
        verbose=0,
    )
    assert np.isfinite(losses.epochs).all()
    for epoch in losses.epochs:
        assert len(epoch) == STEPS
        first, last = np.mean(epoch[:5]), np.mean(epoch[-5:])
        with capsys.disabled():
            print(f"first five batches {first:.4g}, last five {last:.4g}")
        assert last < first
