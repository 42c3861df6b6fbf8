import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import indistill_tf
from indistill_tf import cifd
from indistill_tf import finite
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(32, 8, 8, 1)).astype("float32")
LABELS = RANDOM.integers(0, 3, 32)


def network(width, dtype=None, last=lambda logits: logits):
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(width, 3, dtype=dtype, name="map_1")(inputs)
    x = layers.GlobalAveragePooling2D(dtype=dtype)(x)
    x = layers.Dense(3, dtype="float32", name="scores")(x)
    return keras.Model(inputs, last(x), name="net")


def distiller(method="okd", teacher=None, student=None, **compile):
    found = indistill_tf.Distiller(
        teacher=teacher or network(4),
        student=student or network(4),
        method=method,
    )
    found.compile(**{"optimizer": "sgd", **compile})
    return found


def own(**parts):
    return indistill_tf.Method(name="own", paper="of this test", **parts)


def fit(model, images=IMAGES, **options):
    options = {"batch_size": 8, "verbose": 0, **options}
    return model.fit(images, LABELS, shuffle=False, **options)


def refused(model, *words, **options):
    with pytest.raises(UserError) as error:
        fit(model, **options)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value), str(error.value)


def below_zero(teacher, student):
    """A loss that becomes NaN in the third step."""
    below_zero.steps.assign_add(1.0)
    return ops.mean(ops.square(teacher - student)) + ops.sqrt(
        2.0 - below_zero.steps
    )


@pytest.fixture(autouse=True)
def _steps():
    below_zero.steps = tf.Variable(-0.5)


def test_names_the_step_the_term_and_the_tap():
    tap = own(tap=below_zero, task="mse", schedule=Curriculum(1, 0))
    words = "loss/tap_1 (teacher's map_1 -> student's map_1) became nan in "
    refused(distiller(tap), f"{words}step 3 of epoch 1", epochs=2)


def test_names_one_of_several_tasks_and_the_steps_of_one_call():
    tasks = own(task=[("mse", 1.0), (below_zero, 1.0)])
    words = "distiller: loss/task_2 (teacher's logits -> student's scores) beca"
    model = distiller(tasks, steps_per_execution=3)
    refused(model, words, "one of the steps 1 to 3 of epoch 1")


def test_a_weight_that_no_loss_shows():
    model = distiller("okd")
    hidden = model.student.get_layer("scores")

    class Break(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            # In time for the end of the next epoch.
            if epoch == 1:
                raise AssertionError("not stopped")

        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                hidden.bias.assign([np.inf, 0, 0])

    refused(
        model,
        "weight 'scores/bias' was no",
        "step 4 of epoch 1",
        epochs=2,
        callbacks=[Break()],
    )


def test_a_student_of_nan_is_not_trained():
    student = network(4)
    student.get_layer("map_1").bias.assign(np.full(4, np.nan))
    refused(distiller(student=student), "not finite: 'map_1/bias'")


def test_a_teacher_of_nan_is_refused():
    teacher = network(4)
    teacher.get_layer("map_1").bias.assign([np.nan, 0, 0, 0])
    refused(distiller(teacher=teacher), "Weights of the teacher are not finite")


@pytest.mark.parametrize("steps", [1, 4])
def test_a_teacher_that_says_nan_is_refused(steps):
    teacher = network(4, last=lambda x: ops.log(x - 1e6))
    model = distiller(teacher=teacher, steps_per_execution=steps)
    refused(model, "outputs for loss/task are not finite on its first batch")
    assert finite.weights_out_of_range(model) == []


def test_modules_stop_too():
    modules = cifd.RateDistortionModules([1.0], 4, 3)
    modules.compile(keras.optimizers.SGD(1e30))
    inputs = {"embedding": IMAGES[:, 0, :4, 0], "logits": IMAGES[:, 0, :3, 0]}
    with pytest.raises(UserError, match="rdm: its loss became"):
        modules.fit(inputs, LABELS, epochs=2, verbose=0)


def test_a_mask_may_be_infinite_and_a_weight_may_not():
    class Masked(layers.Dense):
        def build(self, shape):
            super().build(shape)
            options = dict(initializer="zeros", trainable=False, name="mask")
            self.mask = self.add_weight(shape=(2,), **options)

    layer = Masked(1)
    model = keras.Sequential([keras.Input((2,)), layer])
    mask = layer.mask
    mask.assign([-np.inf, 0])
    assert finite.weights_out_of_range(model) == []
    mask.assign([np.inf, 0])
    assert finite.weights_out_of_range(model) == [mask.path]
    mask.assign([0, 0])
    layer.bias.assign([-np.inf])
    assert finite.weights_out_of_range(model) == [layer.bias.path]


def test_layers_of_mixed_float16_get_loss_scaling():
    half = network(4, dtype="mixed_float16")
    model = distiller("okd", student=half, optimizer="adam")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    fit(model, epochs=1)
    model.restart_optimizer()
    fit(model, epochs=1)
    for plain in (
        distiller("okd"),
        distiller("okd", student=half, auto_scale_loss=False),
        distiller("okd", student=network(4, dtype="mixed_bfloat16")),
    ):
        assert type(plain.optimizer) is keras.optimizers.SGD


def test_small_gradients_survive_in_float16():
    # 1e-7 of the loss is below what float16 can hold of a gradient.
    def tiny(teacher, student):
        return 1e-7 * ops.mean(ops.square(teacher - student))

    moved = []
    for scaling in (True, False):
        keras.utils.set_random_seed(0)
        student = network(4, dtype="mixed_float16")
        model = distiller(
            own(task=tiny),
            student=student,
            optimizer=keras.optimizers.SGD(1e6),
            auto_scale_loss=scaling,
        )
        before = student.get_layer("map_1").kernel.numpy()
        model.train_on_batch(IMAGES, LABELS)
        after = student.get_layer("map_1").kernel.numpy()
        moved.append(np.mean(after != before))
    assert moved[0] > 0.9 > moved[1]
