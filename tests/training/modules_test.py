import dataclasses

import keras
import numpy as np
import pytest

from indistill_tf import cifd
from indistill_tf.errors import UserError
from indistill_tf.evaluation import outputs
from indistill_tf.training import ModulesRecipe
from indistill_tf.training import modules as modules_lib
from indistill_tf.training import train_modules

RECIPE = ModulesRecipe(trade_offs=(1.0, 0.1), epochs=3, batch_size=64)


@pytest.fixture(scope="module")
def teacher(small_images):
    """A network that knows the images a little."""
    from indistill_tf import models

    keras.utils.set_random_seed(0)
    model = models.build("cnn_s", small_images.input_shape, 10)
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    images = np.array(small_images.preprocessing(small_images.train.images))
    model.fit(images, small_images.train.labels, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_images, teacher):
    folder = tmp_path_factory.mktemp("modules")
    return folder, *train_modules(folder, small_images, teacher, RECIPE)


def test_the_record_says_what_was_trained(trained, small_images, teacher):
    _, modules, result = trained
    assert modules.modules == 2
    assert result["trade_offs"] == [1.0, pytest.approx(0.1)]
    assert result["held_out"] == 30
    assert result["recipe"]["epochs"] == 3
    assert {"versions", "git_commit", "device"} <= set(result)
    # The accuracies are of what was held out, by the rounded code.
    order = np.random.default_rng(0).permutation(600)
    rows = np.sort(order[:30])
    found = outputs(teacher, small_images.train, small_images.preprocessing)
    labels = small_images.train.labels[rows]
    right = found["logits"][rows].argmax(axis=1) == labels
    assert result["teacher_accuracy"] == pytest.approx(right.mean())
    said = np.array(modules(found["embedding"][rows])["logits"]).argmax(axis=-1)
    np.testing.assert_allclose(
        result["scores"]["accuracy"], (said == labels).mean(axis=1), atol=1e-6
    )


def test_read_again_and_not_trained_again(trained, small_images, teacher):
    folder, modules, result = trained
    again, record = train_modules(folder, small_images, teacher, RECIPE)
    assert record == result
    embedding = np.random.default_rng(0).normal(size=(4, 64))
    for name, value in modules(embedding).items():
        np.testing.assert_array_equal(again(embedding)[name], value)


def test_the_same_seed_gives_the_same_modules(
    trained, small_images, teacher, tmp_path
):
    _, modules, _ = trained
    again, _ = train_modules(tmp_path, small_images, teacher, RECIPE)
    for mine, its in zip(modules.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.long
def test_trade_offs_from_accuracies(small_images, teacher, tmp_path):
    recipe = ModulesRecipe(
        points_below=(30.0,),
        epochs=10,
        batch_size=64,
        learning_rate=1e-2,
        held_out=0.5,
        # 300 images: accuracies are thirds of a point apart, and jump.
        tolerance=2.0,
        options={"reconstruction": False},
    )
    _, result = train_modules(tmp_path, small_images, teacher, recipe)
    below = result["teacher_accuracy"] - result["scores"]["accuracy"][0]
    assert 100 * below == pytest.approx(30, abs=2.01)
    rounds = result["calibration"]
    assert rounds[-1][0] == pytest.approx(result["trade_offs"], rel=1e-5)
    # The smallest R, the largest, and between them.
    assert rounds[0][0] == [0.001] and rounds[1][0] == [1000.0]
    assert len(rounds) > 2


def test_summary(trained):
    _, _, result = trained
    lines = modules_lib.summary(result).splitlines()
    assert lines[0].endswith("on 30 images held out")
    assert lines[1].startswith("module 1: R 1, accuracy ")
    assert ", distortion " in lines[2] and ", rate " in lines[2]


def test_modules_for_a_teacher(teacher):
    recipe = dataclasses.replace(RECIPE, options={"density": "gaussian"})
    modules = recipe.build(teacher)
    assert isinstance(modules.density, cifd.GaussianDensity)
    assert (modules.embedding_width, modules.num_classes) == (64, 10)


@pytest.mark.parametrize(
    "options",
    [{"points_below": ()}, {"epochs": 0}, {"held_out": 0.0}, {"held_out": 1.0}],
)
def test_errors(options):
    with pytest.raises(UserError, match="Modules need a trade-off"):
        ModulesRecipe(**options)
