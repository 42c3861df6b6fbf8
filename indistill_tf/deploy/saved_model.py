"""SavedModel exports of a student: pixels in, classes and embedding out."""

import pathlib
import shutil
import tempfile
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from indistill_tf.deploy import pixel_checks
from indistill_tf.deploy import probe
from indistill_tf.deploy import tolerances
from indistill_tf.deploy.deployable import EMBEDDING
from indistill_tf.deploy.deployable import PROBABILITIES
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.files import replacing_folder
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor

LABELS = "labels.txt"
_GRAPH = "saved_model.pb"
# What else lies beside it.
_NAMES = {"fingerprint.pb", "variables", "assets", LABELS}


def export(
    model: keras.Model,
    preprocessing: Callable[[Tensor], Tensor],
    class_names: Sequence[str],
    path: Path,
    head: str | None = None,
    outputs: str | None = None,
) -> pathlib.Path:
    """Writes a model as a SavedModel, see `write`.

    Args:
        model: functional `keras.Model` or `Distiller`, see `Deployable`.
        preprocessing: `indistill_tf.data.Preprocessing`.
        class_names: sequence of strings.
        path: the directory to write; a SavedModel there is replaced.
        head: what the output is, see `Deployable`. Defaults to None: as the
            model ends, or as the `Distiller` trained it.
        outputs: which of several outputs, see `Distiller`. Defaults to None.

    Returns:
        The path.

    Raises:
        UserError: if the directory cannot be written or is no SavedModel, it
            is not known what the output is, or weights of the model are not
            finite.
    """
    deployable = Deployable(model, preprocessing, class_names, head, outputs)
    return write(deployable, path)


def write(deployable: Deployable, path: Path) -> pathlib.Path:
    """Writes a SavedModel with the endpoints `serve` and `embed`.

    Both take images `[N, height, width, C]` with pixel values 0..255, uint8 or
    float32, of the size that the preprocessing resizes or pads from; sizing
    and normalisation are inside. `serve` returns `probabilities`, `embed`
    `embedding`, see `Deployable`. Images of another dtype, rank or number of
    channels, no image, and pixels that are not finite are refused in a
    sentence.

    The signatures `serving_default` (uint8) and `float32` return both by name,
    the signatures `serve` and `embed` (uint8) one each. The classes' names are
    in `labels.txt`, a line each, and in `assets/labels.txt`.

    Args:
        deployable: `Deployable`.
        path: the directory to write; a SavedModel there is replaced.

    Returns:
        The path.

    Raises:
        UserError: if the directory cannot be written, or is no SavedModel.
    """
    path = pathlib.Path(path)
    _check_replaceable(path)
    try:
        with replacing_folder(path) as temporary:
            _save(deployable, temporary)
    except tf.errors.OpError as error:
        raise UserError(
            f"{path} cannot be written ({first_line(error)}). Name another "
            "directory."
        ) from error
    return path


def _check_replaceable(path):
    """Refuses a directory that is no SavedModel, which would be lost."""
    if not path.is_dir() or (path / _GRAPH).exists():
        return
    # One of which the graph is lost is made again.
    others = {entry.name for entry in path.iterdir()} - _NAMES
    if others:
        raise UserError(
            f"{path} is no SavedModel: {min(others)!r} lies in it, and would "
            "be lost. Name another directory."
        )


def check(
    path: Path,
    model: keras.Model,
    preprocessing: Callable[[Tensor], Tensor],
    images: Tensor,
    tolerance: float | None = None,
    head: str | None = None,
    outputs: str | None = None,
) -> float:
    """Reloads a SavedModel in a fresh process and compares it with the model.

    The process imports TensorFlow alone, neither Keras nor this package.

    Args:
        path: the SavedModel directory.
        model: the `keras.Model` or `Distiller` it was exported from.
        preprocessing: `indistill_tf.data.Preprocessing`.
        images: uint8 array `[N, H, W, C]`.
        tolerance: float, the largest absolute difference allowed. Defaults to
            None: 1e-4, where the network computes in float16 5e-3 and in
            bfloat16 5e-2.
        head: see `export`. Defaults to None.
        outputs: see `export`. Defaults to None.

    Returns:
        The largest absolute difference found in probabilities and embeddings.

    Raises:
        UserError: if the export cannot be loaded or differs, or the model's
            weights or outputs are not finite.
    """
    deployable = Deployable(model, preprocessing, (), head, outputs)
    if tolerance is None:
        tolerance = tolerances.difference(deployable.precision)
    # Resized pixels are rounded where they are whole numbers, so the two
    # kinds of input differ a little.
    given = (images, np.asarray(images, "float32"))
    expected = [deployable.predict(each) for each in given]
    found = probe.answers(path, "tensorflow", *given)
    differences = [
        np.abs(ours[name] - its[name]).max()
        for ours, its in zip(expected, found, strict=True)
        for name in ours
    ]
    # Not `max`, for which no number is less than NaN.
    difference = float(np.max(differences))
    if not difference <= tolerance:
        raise UserError(
            f"{path} differs from its model by {difference:.3g}, more than "
            f"{tolerance:.3g}. Export it again."
        )
    return difference


def _save(deployable, folder):
    module = tf.Module()
    # TensorFlow does not look into a Keras model for what functions read.
    module.kept = deployable.variables
    answers = _answers(deployable)
    module.serve = _endpoint(answers, PROBABILITIES)
    module.embed = _endpoint(answers, EMBEDDING)
    with tempfile.TemporaryDirectory() as assets:
        labels = pathlib.Path(assets) / LABELS
        labels.write_text("".join(f"{x}\n" for x in deployable.class_names))
        module.labels = tf.saved_model.Asset(labels)
        tf.saved_model.save(
            module, folder, signatures=_signatures(answers, deployable)
        )
        shutil.copy(labels, folder)


def _answers(deployable):
    """Returns a function from images of any size to both outputs.

    What all endpoints call is in functions of their own, which a file holds
    once: the network, and for each dtype the sizing.
    """
    sized = tf.TensorSpec((None, *deployable.input_shape), tf.float32)
    network = tf.function(deployable.answer, input_signature=[sized])

    @tf.function
    def answers(image):
        image = pixel_checks.checked(image, deployable.preprocessing)
        image = deployable.preprocessing.fit_size(image)
        return network(tf.cast(image, tf.float32))

    return lambda image: answers(pixel_checks.unshaped(image))


def _endpoint(answers, name):
    """Returns a function that refuses whatever is no image."""

    def endpoint(image):
        if image.dtype in pixel_checks.DTYPES:
            return answers(image)[name]
        return pixel_checks.refused(image)

    endpoint = tf.function(endpoint)
    for dtype in (*pixel_checks.DTYPES, *pixel_checks.REFUSED):
        endpoint.get_concrete_function(tf.TensorSpec(None, dtype, name="image"))
    return endpoint


def _signatures(answers, deployable):
    shape = (None, None, None, deployable.input_shape[-1])

    def signature(names, dtype=tf.uint8):
        def function(image):
            said = answers(image)
            return {name: said[name] for name in names}

        spec = tf.TensorSpec(shape, dtype, name="image")
        return tf.function(function).get_concrete_function(spec)

    return {
        "serving_default": signature((PROBABILITIES, EMBEDDING)),
        "float32": signature((PROBABILITIES, EMBEDDING), tf.float32),
        "serve": signature((PROBABILITIES,)),
        "embed": signature((EMBEDDING,)),
    }
