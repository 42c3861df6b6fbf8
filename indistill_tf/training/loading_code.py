"""How exported files are read: code for a model card."""

_SAVED_MODEL = """\
import tensorflow as tf

# Keep what is loaded: its functions do not.
loaded = tf.saved_model.load("{path}")
probabilities = loaded.serve(images)
embedding = loaded.embed(images)
"""

_LITERT = """\
from ai_edge_litert.interpreter import Interpreter

run = Interpreter("{path}").get_signature_runner()
answers = [run(image=image[None]) for image in images]
probabilities = np.concatenate([x["probabilities"] for x in answers])
embedding = np.concatenate([x["embedding"] for x in answers])
"""

_ONNX = """\
import onnxruntime

session = onnxruntime.InferenceSession("{path}")
names = ["probabilities", "embedding"]
probabilities, embedding = session.run(names, {{"image": images}})
"""

_KERAS = """\
import keras

answers = keras.models.load_model("{path}").predict(images)
probabilities, embedding = answers["probabilities"], answers["embedding"]
"""

_CODE = {
    "saved_model": ("SavedModel", _SAVED_MODEL),
    "litert": ("LiteRT", _LITERT),
    "onnx": ("ONNX", _ONNX),
    "keras": ("Keras", _KERAS),
}


def text(exports: dict, images: dict) -> str:
    """Returns how exports are loaded, in Markdown.

    Args:
        exports: dict from format to what the record says of it.
        images: what a run's record says of its images.
    """
    height, width = images["preprocessing"]["image_size"]
    channels = len(images["preprocessing"]["mean"])
    first = (
        "import numpy as np\n\n"
        f'images = np.zeros((2, {height}, {width}, {channels}), "uint8")'
    )
    return (
        "Pixel values are 0..255; nothing is normalised beforehand. The "
        "SavedModel reads images of other sizes too, the other formats those "
        f"of this size alone.\n\n{_block(first)}\n\n"
        + "\n\n".join(_sections(exports))
    )


def _sections(exports):
    """Yields code for each runtime, with the first file that it reads."""
    for format_, (title, code) in _CODE.items():
        paths = [
            export["path"]
            for name, export in exports.items()
            if name.startswith(format_)
        ]
        if paths:
            yield f"### {title}\n\n{_block(code.format(path=paths[0]))}"


def _block(code):
    return f"```python\n{code.strip()}\n```"
