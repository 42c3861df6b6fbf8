"""The warm-up in closed form, on teachers in which a student is hidden."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import indistill_tf
from indistill_tf import auxiliary
from indistill_tf import endpoints
from indistill_tf import methods
from indistill_tf.distillation import closed_form
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError

IMAGES = np.random.default_rng(0).normal(size=(320, 16, 16, 1))
IMAGES = IMAGES.astype("float32")


def plain(width=4, activation="relu"):
    inputs = x = keras.Input((16, 16, 1))
    for stage in (1, 2):
        x = layers.Conv2D(
            width * stage,
            3,
            strides=stage,
            padding="same",
            activation=activation,
            name=f"conv{stage}",
        )(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(width, activation="relu", name="fc")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def stages(width=4):
    """Convolution, batch normalisation, ReLU, pooling, as in the papers."""
    inputs = x = keras.Input((16, 16, 1))
    for stage in (1, 2):
        x = layers.Conv2D(width * stage, 3, name=f"conv{stage}")(x)
        x = layers.BatchNormalization(name=f"bn{stage}")(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2, name=f"tap_{stage}")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def residual(width=4, before=False):
    """Two blocks, the first with a convolution in its shortcut."""
    inputs = x = keras.Input((16, 16, 1))
    x = conv(x, width, "stem")
    for block, (channels, strides) in enumerate(
        [(2 * width, 2)] + [(2 * width, 1)]
    ):
        name, shortcut = f"block{block}", x
        if before:
            x = norm_relu(x, f"{name}_1")
        x = conv(x, channels, f"{name}_conv1", strides)
        x = norm_relu(x, f"{name}_2")
        x = conv(x, channels, f"{name}_conv2")
        if not before:
            x = layers.BatchNormalization(name=f"{name}_bn3")(x)
        if strides > 1:
            shortcut = conv(shortcut, channels, f"{name}_shortcut", strides)
        x = layers.Add(name=f"{name}_add")([x, shortcut])
        if not before:
            x = layers.ReLU()(x)
    if before:
        x = norm_relu(x, "last")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def conv(x, channels, name, strides=1):
    return layers.Conv2D(
        channels, 3, strides, padding="same", use_bias=False, name=name
    )(x)


def norm_relu(x, name):
    return layers.ReLU()(layers.BatchNormalization(name=f"{name}_bn")(x))


def hiding(student):
    """Returns a network twice as wide, whose odd channels are the student's.

    They read no others, and their filters are those with the larger norms.
    """
    random = np.random.default_rng(1)
    for weight in student.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(random.normal(size=weight.shape) / 4)
    teacher = auxiliary.widen(student)
    for layer, narrow_layer in zip(teacher.layers, student.layers):
        narrow = narrow_layer.get_weights()
        wide = [
            random.normal(size=weight.shape) / 1000 for weight in layer.weights
        ]
        for small, large in zip(narrow, wide):
            if small.ndim == 1:
                large[:] = 1
            odd = tuple(
                slice(None) if few == many else slice(1, None, 2)
                for few, many in zip(small.shape, large.shape)
            )
            large[..., odd[-1]] = 0
            large[odd] = small
        layer.set_weights(wide)
    return teacher


NETWORKS = {
    "activations inside": plain,
    "stages": stages,
    "residual": residual,
    "preactivation": lambda: residual(before=True),
}

# Maps that are compared.
REACHED = {
    "activations inside": ["conv1", "conv2", "fc"],
    "stages": ["tap_1", "tap_2"],
    "residual": ["block0_2_bn", "block0_add", "block1_add"],
    "preactivation": ["block0_1_bn", "block0_add", "block1_add", "last_bn"],
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_student_hidden_in_the_teacher_is_found(kind):
    expected, student = NETWORKS[kind](), NETWORKS[kind]()
    distiller = indistill_tf.Distiller(
        teacher=hiding(expected), student=student, method="closed_form"
    )
    assert "stay as they are" not in distiller.pairing
    unexplained = distiller.warm_up_in_closed_form(IMAGES)
    assert max(unexplained.values()) < 1e-6
    for name in ("logits", *REACHED[kind]):
        ours, theirs = (
            endpoints.named_view(model, [name])(IMAGES[:8])[name]
            for model in (student, expected)
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_images_that_say_nothing_leave_finite_weights():
    student = residual(before=True)
    distiller = indistill_tf.Distiller(
        teacher=hiding(residual(before=True)),
        student=student,
        method="closed_form",
    )
    distiller.warm_up_in_closed_form(np.zeros_like(IMAGES))
    assert all(np.isfinite(weight).all() for weight in student.get_weights())


def make(method="closed_form", **changes):
    keras.utils.set_random_seed(0)
    return indistill_tf.Distiller(
        teacher=stages(8),
        student=stages(),
        method=methods.get(method, **changes),
    )


def kernels(distiller):
    return [distiller.student.get_layer(f"conv{i}").kernel for i in (1, 2)]


SILENT = {"shuffle": False, "verbose": 0}
DATA = tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(320) % 3))


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        rows = np.arange(64 * index, 64 * index + 64)
        return {"image": IMAGES[rows], "sample_id": rows}, rows % 3


FORMS = {
    "arrays": (IMAGES, np.arange(320) % 3),
    "dataset": (DATA.batch(64),),
    "PyDataset": (Batches(),),
}


@pytest.mark.parametrize("form", FORMS)
def test_fit_begins_with_it(form, monkeypatch):
    expected = make()
    expected.warm_up_in_closed_form(IMAGES[:200])
    monkeypatch.setattr(closed_form, "_IMAGES", 200)
    distiller = make()
    distiller.compile(keras.optimizers.SGD(0.0))
    distiller.fit(*FORMS[form], **SILENT)
    for ours, theirs in zip(kernels(distiller), kernels(expected)):
        np.testing.assert_array_equal(ours, theirs)
    # A later `fit` goes on with what is there.
    kernels(distiller)[0].assign(np.ones((3, 3, 1, 4)))
    distiller.fit(*FORMS[form], **SILENT)
    np.testing.assert_array_equal(kernels(distiller)[0], 1)


def test_a_fit_that_goes_on_leaves_the_layers():
    distiller = make()
    distiller.compile(keras.optimizers.SGD(0.0))
    before = kernels(distiller)[0].numpy()
    distiller.fit(DATA.batch(64), epochs=2, initial_epoch=1, **SILENT)
    np.testing.assert_array_equal(kernels(distiller)[0], before)


def test_before_a_curriculum():
    distiller = make(
        "indistill",
        closed_form=True,
        schedule=Curriculum(1, 0),
        batch_norm="carry",
    )
    assert distiller.pairing.splitlines()[0].startswith("tap_1 ")
    distiller.compile("adam")
    history = distiller.fit(DATA.batch(64), epochs=3, **SILENT).history
    assert history["stage"] == [1, 2, 3]
    # The first map is a convolution of the image, as the teacher's.
    assert history["loss/tap_1"][0] < 0.01


def test_replicas_begin_alike(mirrored, monkeypatch):
    expected = make()
    expected.warm_up_in_closed_form(IMAGES[:200])
    monkeypatch.setattr(closed_form, "_IMAGES", 200)
    with mirrored.scope():
        distiller = make()
        distiller.compile(keras.optimizers.SGD(0.0))
    data = mirrored.experimental_distribute_dataset(DATA.batch(64))
    distiller._begin(data, 0)
    for ours, theirs in zip(kernels(distiller), kernels(expected)):
        np.testing.assert_array_equal(ours, theirs)


def test_data_that_are_read_once():
    distiller = make()
    distiller.compile("adam")
    with pytest.raises(UserError, match="'generator' gives only once"):
        distiller.fit(batch for batch in [(IMAGES, IMAGES)])


def test_another_method_has_none():
    with pytest.raises(UserError, match="'pkt' warms nothing up"):
        make("pkt").warm_up_in_closed_form(IMAGES)


def test_task_alone_for_comparison():
    method = methods.get("closed_form", task="okd")
    assert method.name == "closed_form+okd"
    alone = method.without_warm_up()
    assert (alone.name, alone.closed_form) == ("okd", False)


def test_closed_form_in_place_of_a_curriculum_for_comparison():
    method = methods.get("indistill", "okd", supervised_weight=0.5)
    other = method.by_closed_form()
    assert (other.name, other.closed_form) == ("closed_form+okd", True)
    assert (other.tap, other.weights) == (None, (0.9, 0.5))
