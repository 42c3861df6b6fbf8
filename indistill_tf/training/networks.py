"""Networks by name, made for a set of images."""

import logging
import re

from indistill_tf import models
from indistill_tf.distribution import replicas

logger = logging.getLogger("indistill_tf")

_KERAS_WEIGHTS = re.compile(r"imagenet|.*(?<!\.weights)\.h5")


def build_network(name, images, weights=None):
    """Returns a new network for a set of images.

    With several replicas the batch normalisation of the papers' networks takes
    the statistics of the batch over all of them.

    Args:
        name: a name that `indistill_tf.models.build` knows.
        images: `indistill_tf.data.ImageSet`.
        weights: None for new ones; a file, see
            `indistill_tf.models.load_weights`; or for a network of
            `keras.applications` `"imagenet"`, or a file that it offers for
            download (`.h5`). Defaults to None.

    Raises:
        UserError: if the name is unknown or the weights do not fit.
    """
    if name in models.APPLICATIONS:
        return _build_application(name, images, weights)
    model = models.build(
        name,
        images.input_shape,
        images.num_classes,
        synchronized=replicas() > 1,
    )
    if weights is not None:
        models.load_weights(model, weights)
    return model


def read_teacher(name, weights, images):
    """Returns a trained network that can read a set of images.

    Args:
        name: a `.keras` file, or with weights a name as in `build_network`.
        weights: see `build_network`; None for a `.keras` file.
        images: `indistill_tf.data.ImageSet`.

    Raises:
        UserError: if there is no such network or it does not fit.
    """
    if weights is None:
        model = models.load_model(name)
    else:
        model = build_network(name, images, weights)
    images.check(model)
    logger.info("teacher: read from %s", weights or name)
    return model


def _build_application(name, images, weights):
    # What Keras offers for download is read by its own reader.
    theirs = weights and _KERAS_WEIGHTS.fullmatch(str(weights))
    model = models.build(
        name,
        images.input_shape,
        images.num_classes,
        mean=images.preprocessing.mean,
        std=images.preprocessing.std,
        weights=str(weights) if theirs else None,
    )
    if weights and not theirs:
        models.load_weights(model, weights)
    return model
