"""Whatever is saved can be read by who imports the package, and nothing else.

Also files that older code wrote: those in `fixtures/` are of commit e33a566,
written there by `write` with the models of `with_own_classes` below.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import indistill_tf
from indistill_tf import auxiliary
from indistill_tf import cifd
from indistill_tf import endpoints
from indistill_tf import losses
from indistill_tf import models
from indistill_tf.graph.pruned_maps import pruned_map
from indistill_tf.models.applications import NetworkPixels
from indistill_tf.models.clip_resnet import Attend
from indistill_tf.models.clip_resnet import MeanToken
from indistill_tf.models.transformer import Positions

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
IMAGE = (8, 8, 3)
LOADER = """
import pathlib
import sys

import keras
import numpy as np

import indistill_tf

for folder in sys.argv[1:]:
    for path in sorted(pathlib.Path(folder).glob("*.keras")):
        model = keras.saving.load_model(path)
        with np.load(path.with_suffix(".npz")) as file:
            inputs = [file[name] for name in file if name.startswith("input")]
            expected = [file[name] for name in file if "output" in name]
        outputs = keras.tree.flatten(model(*inputs, training=False))
        for output, value in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(output, value, 1e-4, 1e-5, err_msg=path)
        print(path.stem)
"""


def student(width=2, **options):
    return models.cnn(IMAGE, 3, width, depth=2, name="student", **options)


def images():
    return np.random.default_rng(0).normal(size=(2, *IMAGE)).astype("float32")


def vit():
    sizes = dict(patch_size=4, width=4, depth=4, heads=2, embedding_size=3)
    return models.vit(IMAGE, 3, **sizes)


def text_transformer():
    return models.text_transformer(5, 11, 4, depth=1, heads=2, embedding_size=3)


def layers_of_clip_resnet():
    tokens = keras.Input((3, 4))
    x = Positions(0.1)(MeanToken()(tokens))
    return keras.Model(tokens, Attend(2)(x, x, x))


def pixels():
    inputs = keras.Input(IMAGE)
    mean, deviation = (0.5, 0.4, 0.3), (0.2, 0.2, 0.1)
    return keras.Model(
        inputs, NetworkPixels("mobilenet", mean, deviation)(inputs)
    )


def pruned():
    teacher = student(4)
    tensor = endpoints.endpoint(teacher, "tap_1")
    return endpoints.view(
        teacher, {"tap": pruned_map(tensor, 2, "batch_statistics")}
    )


def guides():
    return indistill_tf.with_assistants(student(), [student(3)])


def distiller():
    loss = getattr(losses, "KerasLoss", None) or losses.Objective
    loss = loss("mse", endpoint="embedding")
    model = keras.distillation.Distiller(
        teacher=student(2),
        student=student(2),
        distillation_losses=[losses.ForKerasDistiller(loss)],
    )
    model(images())
    return model


def modules(name, density):
    shape = cifd.ARCHITECTURES[name]
    if name != "clip":
        shape = dataclasses.replace(shape, hidden=4, code=3, decoder=5)
    return cifd.RateDistortionModules(
        (1.0, 2.0),
        4,
        3 if shape.classifier else None,
        shape,
        density=density,
        noise_seed=0,
    )


def with_own_classes():
    """Yields names, models with layers of the package, and their inputs."""
    vectors = np.random.default_rng(1).normal(size=(2, 4)).astype("float32")
    sequences = np.random.default_rng(2).normal(size=(2, 3, 4))
    yield "vit", vit(), images()
    yield "text_transformer", text_transformer(), np.array([[1, 4, 10, 0, 0]])
    yield "clip_resnet_layers", layers_of_clip_resnet(), sequences
    yield "pixels", pixels(), images()
    yield "pruned", pruned(), images()
    yield "guides", guides(), images()
    yield "bottleneck", cifd.with_bottleneck(student(), 0.1, seed=0), images()
    yield "distiller", distiller(), images()
    for density in cifd.DENSITIES:
        for name in cifd.ARCHITECTURES:
            yield f"{name}_{density}", modules(name, density), vectors


def of_layers_of_keras():
    """Yields the same of models that need no class of the package."""
    yield "student", student(), images()
    yield "auxiliary", auxiliary.widen(student()), images()
    yield "image_tower", models.tower(vit(), 5), images()
    yield "text_tower", models.tower(text_transformer(), 5), np.ones((2, 5))
    shape = (32, 32, 3)
    clip = models.clip_resnet(shape, 3, (1, 1, 1, 1), 2, embedding_size=3)
    yield "clip_resnet", clip, np.ones((1, *shape), "float32")
    compiled = student()
    compiled.compile(indistill_tf.training.ReferenceSGD(0.1), "mse")
    compiled.train_on_batch(images(), np.ones((2, 3)))
    yield "compiled", compiled, images()


def write(folder, cases):
    """Writes models, and what they make of their inputs."""
    for name, model, inputs in cases:
        model.save(folder / f"{name}.keras")
        outputs = keras.tree.flatten(model(inputs, training=False))
        np.savez(
            folder / f"{name}.npz",
            input=inputs,
            **{f"output_{i}": output for i, output in enumerate(outputs)},
        )


@pytest.mark.long
def test_files_of_today_and_of_before(tmp_path):
    write(tmp_path, with_own_classes())
    write(tmp_path, of_layers_of_keras())
    folders = [tmp_path, FIXTURES]
    process = subprocess.run(
        [sys.executable, "-c", LOADER, *map(str, folders)],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert process.returncode == 0, process.stderr
    expected = [
        path.stem
        for folder in folders
        for path in sorted(folder.glob("*.keras"))
    ]
    assert process.stdout.split() == expected
    assert len(expected) >= 24 + 18
