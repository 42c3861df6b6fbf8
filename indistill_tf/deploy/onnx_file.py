"""ONNX files of a student: any number of images of the network's size.

A file reads `image`, uint8 `[N, H, W, C]` of pixel values 0..255, and gives
`probabilities` and `embedding`, see `Deployable`. Normalisation is inside; the
caller sizes the images.
"""

import logging

import tensorflow as tf

from indistill_tf.deploy import packages
from indistill_tf.deploy.deployable import Deployable

# Of 2021: what runs ONNX has it, and it has all that networks here need.
_OPERATION_SET = 17


def convert(deployable: Deployable) -> bytes:
    """Returns a network as an ONNX file.

    Args:
        deployable: `Deployable`.

    Returns:
        The file's bytes.

    Raises:
        UserError: if a package is missing.
    """
    converter = packages.imported("tf2onnx.convert")
    # It lists what it does.
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    spec = tf.TensorSpec(
        (None, *deployable.input_shape), tf.uint8, name="image"
    )
    function = tf.function(deployable.answer, input_signature=[spec])
    model, _ = converter.from_function(
        function, input_signature=[spec], opset=_OPERATION_SET
    )
    return model.SerializeToString()
