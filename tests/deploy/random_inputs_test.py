"""Each artefact meets a thousand inputs, right and wrong ones.

`pytest -m slow -s tests/deploy/random_inputs_test.py` prints the counts.
"""

import collections

import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import deploy
from indistill_tf.deploy import comparison
from indistill_tf.deploy.tolerances import TOLERANCES

COUNT = 1000
DTYPES = ("uint8", "float32", "float64", "float16", "int32", "int64", "bool")


def inputs(rng):
    """Yields images of the right size and dtype, and all that is neither."""
    shapes = [(1, 32, 32, 1)] * 4 + [
        *((3, 32, 32, 1), (0, 32, 32, 1), (32, 32, 1), (32, 32), ()),
        *((1, 32, 32, 3), (1, 32, 32), (1, 28, 28, 1), (1, 40, 33, 1)),
        *((1, 1, 1, 1), (1, 0, 32, 1), (1, 1, 32, 32, 1)),
    ]
    factors = {"wide": 100, "nan": np.nan}
    for _ in range(COUNT):
        dtype = rng.choice(DTYPES, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
        shape = shapes[rng.integers(len(shapes))]
        values = np.asarray(rng.integers(0, 256, shape))
        extreme = rng.choice(["no", "black", "white", "wide", "nan"])
        if extreme in ("black", "white"):
            values = np.full(shape, 255 * (extreme == "white"))
        if extreme in factors and np.dtype(dtype).kind == "f":
            values = values * factors[extreme]
        yield np.asarray(values, dtype)


@pytest.fixture(scope="module")
def deployable(build, small_images):
    model = build("cnn_s")
    return deploy.Deployable(
        model, small_images.preprocessing, small_images.class_names
    )


def reader(runtime, path):
    """Returns a function from images to named outputs."""
    if runtime == "tensorflow":
        loaded = tf.saved_model.load(path)
        return lambda images: {
            "probabilities": loaded.serve(images).numpy(),
            "embedding": loaded.embed(images).numpy(),
        }
    if runtime == "litert":
        return deploy.litert.Runner(path).predict
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    names = ["probabilities", "embedding"]
    return lambda x: dict(zip(names, session.run(names, {"image": x})))


def is_image(values, runtime):
    sizes = {(32, 32)}
    dtypes = {"uint8"}
    if runtime == "tensorflow":
        # Smaller ones are padded.
        sizes |= {(28, 28), (1, 1)}
        dtypes |= {"float32"}
    return (
        values.ndim == 4
        # Of no image ONNX gives no answer, which is right.
        and (values.shape[0] > 0 or runtime == "onnxruntime")
        and values.shape[1:3] in sizes
        and values.shape[3] == 1
        and values.dtype.name in dtypes
        and bool(np.isfinite(values).all())
    )


def agrees(deployable, values, found, name):
    if not len(values):
        return not any(map(len, found.values()))
    alike = comparison.compare(deployable.predict(values), found)
    return alike.cosine >= TOLERANCES[name].cosine


def is_clear(error):
    """Returns whether an error says what is wrong, and not only where."""
    text = " ".join(str(error).split())
    ours = ("Images ", "The file reads")
    of_onnx = ("Unexpected input", "Got invalid", "Invalid rank")
    return any(words in text for words in (*ours, *of_onnx))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name for name in deploy.FORMATS if name != "keras"],
)
def test_a_thousand_inputs(deployable, small_images, tmp_path, name):
    runtime = deploy.FORMATS[name].runtime
    if runtime != "tensorflow":
        pytest.importorskip("ai_edge_litert")
        pytest.importorskip("onnxruntime")
    path = tmp_path / deploy.FORMATS[name].path
    deploy.write(deployable, name, path, small_images.train.images[:100])
    answer = reader(runtime, path)
    counts, wrong = collections.Counter(), []
    for values in inputs(np.random.default_rng(0)):
        valid = is_image(values, runtime)
        try:
            found = answer(values)
        except Exception as error:
            clear = is_clear(error)
            outcome = f"{'refused' if clear else 'failed'} ({valid=})"
            if valid or not clear:
                wrong.append((values.dtype, values.shape, str(error)[:300]))
        else:
            good = valid and agrees(deployable, values, found, name)
            outcome = f"{'agrees' if good else 'differs'} ({valid=})"
            if not good:
                wrong.append((values.dtype, values.shape))
        counts[outcome] += 1
    print(f"\n{name}: {dict(counts)}")
    assert wrong == []
    assert counts.total() == COUNT
