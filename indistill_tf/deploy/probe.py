"""What an exported file answers in a fresh process, with its runtime alone."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from indistill_tf.errors import UserError
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor

_TENSORFLOW = """
import tensorflow as tf

def load(path):
    loaded = tf.saved_model.load(path)
    return lambda images: {
        "probabilities": loaded.serve(images).numpy(),
        "embedding": loaded.embed(images).numpy(),
    }
"""

_LITERT = """
from ai_edge_litert.interpreter import Interpreter

def load(path):
    run = Interpreter(path, num_threads=1).get_signature_runner()

    def answer(images):
        parts = [run(image=image[None]) for image in images]
        return {
            name: np.concatenate([part[name] for part in parts])
            for name in parts[0]
        }

    return answer
"""

_ONNX = """
import onnxruntime

def load(path):
    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    names = ["probabilities", "embedding"]

    def answer(images):
        return dict(zip(names, session.run(names, {"image": images})))

    return answer
"""

_KERAS = """
import keras

def load(path):
    model = keras.models.load_model(path)
    return lambda images: model.predict_on_batch(images)
"""

RUNTIMES = {
    "tensorflow": _TENSORFLOW,
    "litert": _LITERT,
    "onnxruntime": _ONNX,
    "keras": _KERAS,
}

_FRAME = """
import sys
import numpy as np
{load}
path, *files = sys.argv[1:]
answer = load(path)
for given, found in zip(files[::2], files[1::2]):
    images = np.load(given, mmap_mode="r")
    starts = range(0, len(images), 100)
    parts = [answer(images[i : i + 100].copy()) for i in starts]
    whole = {{x: np.concatenate([part[x] for part in parts]) for x in parts[0]}}
    np.savez(found, **whole)
"""


def answers(
    path: Path, runtime: str, *arrays: Tensor
) -> list[dict[str, np.ndarray]]:
    """Returns what a file answers in a new process.

    The process imports the runtime and NumPy alone; that of `"keras"` has
    TensorFlow with it. None imports this package.

    Args:
        path: the file or the SavedModel's directory.
        runtime: a key of `RUNTIMES`.
        *arrays: uint8 or float32 images `[N, H, W, C]` of pixel values 0..255.

    Returns:
        List of a dict for each array: `probabilities` `[N, K]` and `embedding`
        `[N, D]`.

    Raises:
        UserError: if the file cannot be loaded or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, images in enumerate(arrays):
            given = pathlib.Path(folder) / f"images_{number}.npy"
            np.save(given, images)
            files += [given, pathlib.Path(folder) / f"answers_{number}.npz"]
        script = _FRAME.format(load=RUNTIMES[runtime])
        process = subprocess.run(
            [sys.executable, "-c", script, *map(str, (path, *files))],
            capture_output=True,
            text=True,
        )
        if process.returncode:
            reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"{path} cannot be loaded ({reason}).")
        return [_read(found) for found in files[1::2]]


def _read(path):
    with np.load(path) as file:
        return dict(file)
