"""What a model costs: parameters, operations, bytes, milliseconds."""

import os
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf


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
    """Returns the median milliseconds to classify one image.

    Args:
        model: functional `keras.Model` with one input.
        repeats: int, timed calls after 20 calls of warm-up. Defaults to 200.
    """
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


def _image_spec(model):
    image = model.inputs[0]
    return tf.TensorSpec((1, *image.shape[1:]), image.dtype)
