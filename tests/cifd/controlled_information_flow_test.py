import dataclasses
import itertools

import keras
import numpy as np
import pytest

from indistill_tf import Distiller
from indistill_tf import methods
from indistill_tf import models
from indistill_tf.cifd import ControlledInformationFlow
from indistill_tf.cifd import RateDistortionModules
from indistill_tf.cifd import with_bottleneck
from indistill_tf.errors import UserError


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return tuple(
        (rng.normal(size=(6, 5)), rng.normal(size=(6, 4))) for _ in range(2)
    )


@pytest.fixture
def modules():
    keras.utils.set_random_seed(1)
    return RateDistortionModules([0.5, 2.0], 5, num_classes=4)


def kl(teacher, student, temperature=2.0):
    teacher, student = (
        np.exp(z / temperature)
        / np.exp(z / temperature).sum(axis=-1, keepdims=True)
        for z in (teacher, student)
    )
    terms = (teacher * np.log(teacher / student)).sum(axis=-1)
    return temperature**2 * terms.mean()


def test_by_hand():
    loss = ControlledInformationFlow(temperature=1.0)
    # p = (3/4, 1/4) against (1/2, 1/2): 3/4 log 3/2 + 1/4 log 1/2 = 0.130812,
    # and 100 times the mean of 0.1**2 and 0.3**2.
    teacher = (np.array([[1.0, 0.0]]), np.log([[3.0, 1.0]]))
    student = (np.array([[1.1, -0.3]]), np.zeros((1, 2)))
    assert float(loss(teacher, student)) == pytest.approx(5.130812, abs=1e-6)


def test_without_modules_it_is_logits_and_features(batch):
    teacher, student = batch
    expected = kl(teacher[1], student[1])
    expected += 100 * np.mean((teacher[0] - student[0]) ** 2)
    value = ControlledInformationFlow()(teacher, student)
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_smooth_l1(batch):
    (embedding, logits), student = batch
    loss = ControlledInformationFlow(kl_weight=0, distance="smooth_l1")
    value = loss((embedding, logits), (embedding + 3, student[1]))
    assert float(value) == pytest.approx(100 * 2.5, rel=1e-6)


def guides(modules, batch, module_weight=1.0):
    """Returns what each guide adds to the loss."""
    teacher, student = batch
    said = modules.frozen()(teacher[0])
    logits = [teacher[1], *np.array(said["logits"])]
    embeddings = [teacher[0], *np.array(said["reconstruction"])]
    weights = [1.0, module_weight, module_weight]
    return [
        weight * (kl(z, student[1]) + 100 * np.mean(np.square(x - student[0])))
        for weight, z, x in zip(weights, logits, embeddings)
    ]


def test_modules_speak_beside_the_teacher(modules, batch):
    loss = ControlledInformationFlow(modules, dropout=0.0, module_weight=0.5)
    expected = sum(guides(modules, batch, 0.5))
    assert float(loss(*batch)) == pytest.approx(expected, rel=1e-5)
    # The modules' own training changes nothing of the copy.
    modules.classifier.trainable_variables[0].assign_add(
        keras.ops.ones_like(modules.classifier.trainable_variables[0])
    )
    assert float(loss(*batch)) == pytest.approx(expected, rel=1e-5)
    assert loss.trainable_variables == []


def test_dropout_cuts_guides_by_themselves(modules, batch):
    loss = ControlledInformationFlow(modules, dropout=0.25, seed=0)
    parts = guides(modules, batch)
    subsets = [
        sum(value for value, keep in zip(parts, kept) if keep)
        for kept in itertools.product((0, 1), repeat=3)
    ]
    counts = np.zeros(len(subsets))
    for _ in range(150):
        drawn = float(loss(*batch))
        nearest = int(np.argmin(np.abs(np.array(subsets) - drawn)))
        assert drawn == pytest.approx(subsets[nearest], rel=1e-5, abs=1e-6)
        counts[nearest] += 1
    # All three are kept with probability 27/64, none with 1/64.
    assert counts[-1] / 150 == pytest.approx(27 / 64, abs=0.12)
    assert counts[0] / 150 == pytest.approx(1 / 64, abs=0.04)
    assert float(loss(*batch, training=False)) == pytest.approx(
        sum(parts), rel=1e-5
    )


def test_projector_where_widths_differ(batch):
    teacher, (_, logits) = batch
    loss = ControlledInformationFlow()
    loss(teacher, (np.ones((6, 3)), logits))
    (kernel,) = loss.trainable_variables
    assert kernel.shape == (3, 5)


def test_modules_without_reconstruction(batch):
    modules = RateDistortionModules(
        [1.0], 5, num_classes=4, reconstruction=False
    )
    loss = ControlledInformationFlow(modules, dropout=0.0)
    teacher, student = batch
    said = np.array(modules(teacher[0])["logits"])[0]
    expected = kl(teacher[1], student[1]) + kl(said, student[1])
    expected += 100 * np.mean((teacher[0] - student[0]) ** 2)
    assert float(loss(*batch)) == pytest.approx(expected, rel=1e-5)


def test_read_from_a_file_and_saved(modules, batch, tmp_path):
    modules.save(tmp_path / "modules.keras")
    loss = ControlledInformationFlow(
        str(tmp_path / "modules.keras"), dropout=0.0
    )
    expected = float(loss(*batch))
    assert expected == pytest.approx(sum(guides(modules, batch)), rel=1e-5)
    again = type(loss).from_config(loss.get_config())
    again(*batch)
    for weight, copied in zip(loss.weights, again.weights, strict=True):
        copied.assign(weight)
    assert float(again(*batch)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("method", ["okd", "indistill"])
def test_in_a_distiller(method):
    def build(name):
        return models.build(name, (32, 32, 1), 4)

    modules = RateDistortionModules([1.0, 2.0], 128, num_classes=4)
    distiller = Distiller(
        teacher=build("cnn_a"),
        student=with_bottleneck(build("cnn_s"), 0.005),
        method=dataclasses.replace(
            methods.get(method, batch_norm="carry"),
            task=[(ControlledInformationFlow(modules), 1.0)],
            supervised_weight=1.0,
        ),
    )
    distiller.compile(optimizer="adam")
    distiller.set_epoch(30)
    images = np.random.default_rng(0).normal(size=(8, 32, 32, 1))
    labels = np.arange(8) % 4
    logs = [
        distiller.train_on_batch(images, labels, return_dict=True)
        for _ in range(8)
    ]
    names = {"loss/task", "loss/supervised"}
    assert names <= set(logs[0])
    assert np.isfinite([log["loss"] for log in logs]).all()
    assert set(distiller.target_names(30)) == {"embedding", "logits"}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"dropout": 1.0}, "dropout"),
        ({"temperature": 0}, "temperature"),
        ({"distance": "l7"}, "l7"),
        ({"modules": "nowhere.keras"}, "nowhere.keras"),
    ],
)
def test_errors(options, message):
    with pytest.raises(UserError, match=message):
        ControlledInformationFlow(**options)


def test_modules_of_another_teacher(modules, batch):
    teacher, student = batch
    loss = ControlledInformationFlow(modules)
    with pytest.raises(UserError, match="width 5 and 4 classes.* has 5 and 3"):
        loss((teacher[0], teacher[1][:, :3]), (student[0], student[1][:, :3]))


def test_a_file_of_something_else(tmp_path):
    models.build("cnn_s", (32, 32, 1), 4).save(tmp_path / "student.keras")
    with pytest.raises(UserError, match="not rate-distortion modules"):
        ControlledInformationFlow(str(tmp_path / "student.keras"))


def test_modules_add_nothing_to_the_logs(modules):
    loss = ControlledInformationFlow(modules)
    assert loss.modules.metrics == []
