"""SavedModel exports of a student: pixels in, classes or embedding out."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from indistill_tf import unit_length
from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.finite import check_outputs
from indistill_tf.finite import check_weights
from indistill_tf.graph import endpoints
from indistill_tf.graph import heads
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor


def export(
    model: keras.Model,
    preprocessing: Callable[[Tensor], Tensor],
    class_names: Sequence[str],
    path: Path,
    head: str | None = None,
    outputs: str | None = None,
) -> pathlib.Path:
    """Writes a SavedModel with the endpoints `serve` and `embed`.

    Both take images `[N, height, width, C]` with pixel values 0..255, uint8 or
    float32, of the size that `preprocessing` resizes or pads from; sizing and
    normalisation are inside. `serve` returns probabilities `[N, K]`: of
    classes the softmax, else the sigmoids (of a single one the probability of
    the second class). `embed` returns the penultimate embedding at unit length
    `[N, D]`. As a signature, `serving_default` and `embed` take uint8. The
    classes' names are in `labels.txt`, a line each.

    Args:
        model: functional `keras.Model`, from normalised images to logits or
            probabilities, or a `Distiller`, of which the student is exported.
        preprocessing: `indistill_tf.data.Preprocessing`.
        class_names: sequence of strings.
        path: the directory to write; one that exists is replaced.
        head: what the output is, see `Distiller`. `"sigmoid"` for a last layer
            without activation that was trained as such. Defaults to None: as
            the model ends, or as the `Distiller` trained it, which the student
            alone does not say.
        outputs: which of several outputs, see `Distiller`. Defaults to None.

    Returns:
        The path.

    Raises:
        UserError: if the directory cannot be written, it is not known what the
            output is, or weights of the model are not finite.
    """
    model, head = _trained(model, head)
    check_weights(model)
    both, probabilities = _served(model, head, outputs)

    @tf.function
    def serve(image):
        logits = both(preprocessing(image), training=False)["logits"]
        return probabilities(tf.cast(logits, tf.float32))

    @tf.function
    def embed(image):
        embedding = both(preprocessing(image), training=False)["embedding"]
        return unit_length.of_tensor(embedding)

    shape = (None, None, None, len(preprocessing.mean))
    # The archive finds the variables itself; `track` would store them twice.
    archive = keras.export.ExportArchive()
    for name, function in (("serve", serve), ("embed", embed)):
        for dtype in (tf.uint8, tf.float32):
            function.get_concrete_function(
                tf.TensorSpec(shape, dtype, name="image")
            )
        archive.add_endpoint(name, function)
    path = pathlib.Path(path)
    temporary = path.with_name(f".writing-{path.name}")
    older = path.with_name(f".replaced-{path.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        archive.write_out(temporary, verbose=False)
        labels = "".join(f"{name}\n" for name in class_names)
        (temporary / "labels.txt").write_text(labels)
        if path.exists():
            os.replace(path, older)
        os.replace(temporary, path)
        shutil.rmtree(older, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"{path} cannot be written ({first_line(error)}). Name another "
            "directory."
        ) from error
    return path


def check(
    path: Path,
    model: keras.Model,
    preprocessing: Callable[[Tensor], Tensor],
    images: Tensor,
    tolerance: float = 1e-4,
    head: str | None = None,
    outputs: str | None = None,
) -> float:
    """Reloads an export in a fresh process and compares it with the model.

    The process imports TensorFlow alone, neither Keras nor this package.

    Args:
        path: the SavedModel directory.
        model: the `keras.Model` or `Distiller` it was exported from.
        preprocessing: `indistill_tf.data.Preprocessing`.
        images: uint8 array `[N, H, W, C]`.
        tolerance: float, the largest absolute difference allowed. Defaults to
            1e-4.
        head: see `export`. Defaults to None.
        outputs: see `export`. Defaults to None.

    Returns:
        The largest absolute difference found in probabilities and embeddings.

    Raises:
        UserError: if the export cannot be loaded or differs, or the model's
            weights or outputs are not finite.
    """
    model, head = _trained(model, head)
    check_weights(model)
    both, probabilities = _served(model, head, outputs)
    expected = {}
    # Resized pixels are rounded where they are whole numbers, so the two
    # kinds of input differ a little.
    for dtype in ("uint8", "float32"):
        pixels = preprocessing(tf.cast(images, dtype))
        said = both(pixels, training=False)
        expected[f"serve_{dtype}"] = probabilities(said["logits"])
        expected[f"embed_{dtype}"] = unit_length.of_tensor(said["embedding"])
    for name, output in expected.items():
        check_outputs(output, f"Outputs {name!r} of model {model.name!r} are")
    with tempfile.TemporaryDirectory() as folder:
        probe = pathlib.Path(folder) / "probe.npz"
        np.savez(probe, images=images, **expected)
        process = subprocess.run(
            [sys.executable, "-c", _CHECK, str(path), str(probe)],
            capture_output=True,
            text=True,
        )
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{path} cannot be loaded ({reason}).")
    difference = float(process.stdout.split()[-1])
    # NaN is within no tolerance.
    if not difference <= tolerance:
        raise UserError(
            f"{path} differs from its model by {difference:.3g}, more than "
            f"{tolerance:.3g}. Export it again."
        )
    return difference


def _trained(model, head):
    """Returns what is exported, of a `Distiller` its student, and its head."""
    if not hasattr(model, "student_head"):
        return model, head
    return model.student, head or model.student_head


def _served(model, head, outputs):
    """Returns a view of embedding and logits, and what logits become."""
    model = endpoints.flattened(heads.chosen(model, outputs))
    model = heads.declared(model, head)
    view = endpoints.named_view(model, ("embedding", "logits"))
    sigmoid = heads.decide(model).sigmoid
    return view, tf.nn.sigmoid if sigmoid else tf.nn.softmax


_CHECK = """
import sys
import numpy as np
import tensorflow as tf

path, probe = sys.argv[1:]
probe = np.load(probe)
loaded = tf.saved_model.load(path)
worst = 0.0
for name in ("serve", "embed"):
    for dtype in (tf.uint8, tf.float32):
        images = tf.cast(probe["images"], dtype)
        served = getattr(loaded, name)(images).numpy()
        expected = probe[f"{name}_{dtype.name}"]
        # Not `max`, for which no number is less than NaN.
        worst = np.maximum(worst, np.abs(served - expected).max())
print(float(worst))
"""
