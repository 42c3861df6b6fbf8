"""LiteRT files of a student: one image of the network's size at a time.

A file has the signature `serving_default`: `image`, uint8 `[1, H, W, C]` of
pixel values 0..255, to `probabilities` and `embedding`, see `Deployable`.
Normalisation is inside; the caller sizes the image. TensorFlow's converter
writes all kinds but `int4`, for which litert-quantizer takes the float file.
"""

import contextlib
import dataclasses
import io
import os
import pathlib
import re
import sys
import tempfile
import time
import warnings

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from indistill_tf.deploy import packages
from indistill_tf.deploy import representative
from indistill_tf.deploy import weight_types
from indistill_tf.deploy.deployable import OUTPUTS
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.errors import unknown_name
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor

KINDS = ("float32", "fp16", "dynamic", "int8", "int4")


def convert(
    deployable: Deployable,
    kind: str,
    images: Tensor | None = None,
    batch: int = 1,
) -> bytes:
    """Returns a network as a LiteRT file.

    Args:
        deployable: `Deployable`.
        kind: of the weights: `"float32"`; `"fp16"`, computed in float32;
            `"dynamic"`, int8, with activations quantised in each call, but
            kernels of under 1024 values float32; `"int8"`, with activations in
            fixed ranges; or `"int4"`, with activations as in `"dynamic"`, the
            first kernel int8, and depthwise kernels too.
        images: for `"int8"`, uint8 array `[N, H, W, C]` of training images, by
            which the activations' ranges are measured; 100 suffice. Other
            kinds read none. Defaults to None.
        batch: int, the images of a call. `Runner.predict` needs a file of one,
            for `"int8"` there must be at least so many. Defaults to 1.

    Returns:
        The file's bytes.

    Raises:
        UserError: if the kind is unknown, the images are none to measure by, a
            package is missing, or the weights did not become what was asked
            for.
    """
    if kind not in KINDS:
        raise unknown_name("kind of LiteRT file", kind, KINDS)
    if kind == "int4":
        float32 = _converted(deployable, "float32", None, batch)
        content = _with_int4_weights(float32)
    else:
        content = _converted(deployable, kind, images, batch)
    weight_types.check(content, kind)
    return content


@dataclasses.dataclass(frozen=True)
class Latency:
    """How long one image takes, in milliseconds.

    Attributes:
        median: float.
        p95: float, the 95th percentile.
        minimum: float.
    """

    median: float
    p95: float
    minimum: float


class Runner:
    """A LiteRT file, run by the device's own runtime.

    Args:
        file: the file's bytes, or its path.
        threads: int, of the interpreter. Defaults to 1.

    Raises:
        UserError: if ai-edge-litert is not installed.
    """

    def __init__(self, file: bytes | Path, threads: int = 1) -> None:
        interpreter = packages.imported("ai_edge_litert.interpreter")
        if not isinstance(file, bytes):
            file = pathlib.Path(file).read_bytes()
        self._interpreter = interpreter.Interpreter(
            model_content=file, num_threads=threads
        )
        self._interpreter.allocate_tensors()

    def predict(self, images: Tensor) -> dict[str, np.ndarray]:
        """Returns the outputs of images, one by one.

        Args:
            images: uint8 array `[N, H, W, C]` of the network's size, see
                `Deployable.sized`.

        Returns:
            Dict of float32 arrays `probabilities` `[N, K]` and `embedding`
            `[N, D]`.

        Raises:
            UserError: if the images are of another size or dtype.
        """
        self._check(images)
        run = self._interpreter.get_signature_runner("serving_default")
        found = {name: [] for name in OUTPUTS}
        for image in images:
            said = run(image=image[None])
            for name, values in found.items():
                # What comes is a view of the interpreter's memory.
                values.append(said[name][0].copy())
        return {name: np.stack(values) for name, values in found.items()}

    def _check(self, images):
        # LiteRT would size its input anew, and fail later or answer nonsense.
        (expected,) = self._interpreter.get_input_details()
        shape = tuple(map(int, expected["shape"][1:]))
        received = np.shape(images)
        dtype = getattr(images, "dtype", type(images).__name__)
        none = not received or not received[0]
        if none or received[1:] != shape or dtype != expected["dtype"]:
            raise UserError(
                f"The file reads {expected['dtype'].__name__} images of the "
                f"shape (N, *{shape}). Received: {dtype} {received}. See "
                "`Deployable.sized`."
            )

    def latency(self, repeats: int = 200, warm_up: int = 50) -> Latency:
        """Returns how long one image takes, warm.

        Args:
            repeats: int, calls that are timed. Defaults to 200.
            warm_up: int, calls before them. Defaults to 50.
        """
        for _ in range(warm_up):
            self._interpreter.invoke()
        return summary([self.seconds() for _ in range(repeats)])

    def seconds(self) -> float:
        """Runs the image that is there, and returns how long it took."""
        start = time.perf_counter()
        self._interpreter.invoke()
        return time.perf_counter() - start


def summary(seconds: list[float]) -> Latency:
    """Returns what timed calls come to.

    Args:
        seconds: floats, one a call.
    """
    median, p95, minimum = 1000 * np.percentile(seconds, (50, 95, 0))
    return Latency(float(median), float(p95), float(minimum))


def _converted(deployable, kind, images, batch):
    holder = tf.Module()
    # TensorFlow does not look into a Keras model for what a function reads.
    holder.kept = deployable.variables
    signatures = {"serving_default": deployable.function(batch)}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(holder, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "fp16":
            converter.target_spec.supported_types = [tf.float16]
        if kind == "int8":
            images = representative.checked(deployable, images)
            converter.representative_dataset = lambda: (
                {"image": images[i : i + batch]}
                for i in range(0, len(images) - batch + 1, batch)
            )
        with warnings.catch_warnings():
            # It measures ranges by an interpreter that it calls outdated.
            warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter")
            return _refusing(converter.convert)


def _refusing(convert):
    try:
        with _without_stderr():
            return convert()
    except ConverterError as error:
        found = re.search("TF Select ops: (.+)", str(error))
        reason = f"it lacks {found[1]}" if found else first_line(error)
        raise UserError(
            f"LiteRT cannot take this network: {reason}. Choose another "
            "format, or build the network in float32, of other layers."
        ) from error


@contextlib.contextmanager
def _without_stderr():
    """Hides what the converter's C++ writes: a page for what it refuses."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _with_int4_weights(content):
    quantizer = packages.imported("litert_quantizer.quantizer")
    recipe = packages.imported("litert_quantizer.recipe")
    qtyping = packages.imported("litert_quantizer.qtyping")
    quantizer = quantizer.Quantizer(
        bytearray(content), recipe.dynamic_wi4_afp32()
    )
    for number, kernel in enumerate(weight_types.kernels(content)):
        if weight_types.keeps_8_bits(number, kernel):
            operation = qtyping.TFLOperationName[kernel.operation]
            output = f"^{re.escape(kernel.output)};$"
            quantizer.add_dynamic_config(output, operation, num_bits=8)
    with contextlib.redirect_stdout(io.StringIO()):
        return bytes(quantizer.quantize().quantized_model)
