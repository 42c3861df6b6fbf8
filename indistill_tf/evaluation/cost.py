"""What a model costs: parameters, operations, bytes, milliseconds."""

import logging
import os
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from indistill_tf.deploy import litert
from indistill_tf.errors import UserError

logger = logging.getLogger("indistill_tf")


def parameters(model: keras.Model) -> int:
    """Returns the number of trainable parameters, as the papers count.

    Args:
        model: built `keras.Model`; a frozen model counts the same.
    """
    moving = ("moving_mean", "moving_variance", "seed_generator_state")
    return sum(
        int(np.prod(variable.shape))
        for variable in model.variables
        if variable.name not in moving
    )


def flops(model: keras.Model) -> int:
    """Returns the floating-point operations of one image's inference.

    A multiplication and an addition count as two.

    Args:
        model: functional `keras.Model` with one input.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2_as_graph,
    )

    forward = tf.function(lambda x: model(x, training=False))
    concrete = forward.get_concrete_function(_image_spec(model))
    _, graph_def = convert_variables_to_constants_v2_as_graph(concrete)
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(
        profiler.ProfileOptionBuilder.float_operation()
    ).with_empty_output()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        profile = profiler.profile(graph, options=options.build())
    return int(profile.total_float_ops)


def file_size(model: keras.Model) -> int:
    """Returns the bytes of the model saved as a `.keras` file.

    Args:
        model: built `keras.Model`; its optimizer does not count.
    """
    optimizer, model.optimizer = getattr(model, "optimizer", None), None
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            model.save(path)
            return os.path.getsize(path)
    finally:
        model.optimizer = optimizer


def latency(model: keras.Model, repeats: int = 200) -> float:
    """Returns the median milliseconds to classify one image, see `timed`.

    Args:
        model: functional `keras.Model` with one input.
        repeats: int, timed calls after those of warm-up. Defaults to 200.
    """
    return timed(model, repeats)["latency_ms"]


def timed(model: keras.Model, repeats: int = 200) -> dict:
    """Measures how long one image takes, warm, and says in what.

    It is LiteRT in float32 on one thread, as on a device. Where its package is
    missing, or cannot take the network, it is TensorFlow, whose own calls take
    a small network's time several times over.

    Args:
        model: functional `keras.Model` with one input.
        repeats: int, timed calls after those of warm-up. Defaults to 200.

    Returns:
        Dict of `latency_ms`, the median, and `latency_runtime`, `"LiteRT"` or
        `"TensorFlow"`.
    """
    try:
        content = litert.convert(_Network(model), "float32")
        runner = litert.Runner(content)
    except UserError as error:
        logger.info("Latency is measured in TensorFlow: %s", error)
        milliseconds, runtime = _in_tensorflow(model, repeats), "TensorFlow"
    else:
        milliseconds, runtime = runner.latency(repeats).median, "LiteRT"
    return {"latency_ms": milliseconds, "latency_runtime": runtime}


class _Network:
    """What `litert.convert` asks of a `Deployable`, of any network."""

    def __init__(self, model):
        self.model = model
        self.variables = [variable.value for variable in model.variables]

    def function(self, batch=1):
        def answer(images):
            outputs = keras.tree.flatten(self.model(images, training=False))
            return {f"output_{i}": value for i, value in enumerate(outputs)}

        spec = _image_spec(self.model, batch)
        return tf.function(answer).get_concrete_function(spec)


def _in_tensorflow(model, repeats):
    forward = tf.function(lambda x: model(x, training=False))
    spec = _image_spec(model)
    image = tf.zeros(spec.shape, spec.dtype)
    run = forward.get_concrete_function(spec)
    seconds = []
    for step in range(20 + repeats):
        start = time.perf_counter()
        run(image).numpy()
        if step >= 20:
            seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))


def _image_spec(model, batch=1):
    image = model.inputs[0]
    return tf.TensorSpec((batch, *image.shape[1:]), image.dtype)
