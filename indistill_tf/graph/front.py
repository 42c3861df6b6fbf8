"""The front of a network: what its first layers do to the images."""

from collections.abc import Iterator

import keras
from keras import layers

from indistill_tf.graph import endpoints
from indistill_tf.graph import traversal

_SCALING = (layers.Normalization, layers.Rescaling)
# The same as operations, `images / 255`.
_ARITHMETIC = ("Add", "Divide", "Multiply", "Subtract", "TrueDivide")
_CASTS = ("Cast", "ConvertToTensor")
_NAMES = ("AugMix", "CutMix", "MixUp", "RandAugment", "Solarization")
_AUGMENTATIONS = tuple(
    getattr(layers, name)
    for name in dir(layers)
    if name.startswith("Random") or name in _NAMES
)
# Layers behind which the pixels are still those of an image.
_PASSING = (
    *(layers.InputLayer, layers.Identity, layers.Reshape, layers.Concatenate),
    *(layers.CenterCrop, layers.Cropping2D, layers.Resizing),
    *(layers.ZeroPadding2D, layers.Dropout, layers.GaussianNoise),
)


def scaling_layer(model: keras.Model) -> str | None:
    """Returns the layer by which a network scales pixels itself, or None.

    It is a `Rescaling`, a `Normalization` or arithmetic with numbers, before
    anything that is computed of the pixels.

    Args:
        model: functional `keras.Model`, which may hold others as layers.

    Returns:
        String, the layer's name, or None.
    """
    for operation in _front(endpoints.flattened(model)):
        if _scales(operation):
            return operation.name
    return None


def random_layers(model: keras.Model) -> list[str]:
    """Returns the layers that change images at random in training.

    These are the image augmentations of Keras, also within another layer, and
    in front of the network any layer with random numbers of its own. Dropout
    and noise do not count: they move no pixel.

    Args:
        model: functional `keras.Model`, which may hold others as layers.

    Returns:
        List of strings, the layers' names.
    """
    model = endpoints.flattened(model)
    found = [layer.name for layer in model.layers if _augments(layer)]
    for operation in _front(model):
        own = not isinstance(operation, _PASSING) and _draws(operation)
        if own and operation.name not in found:
            found.append(operation.name)
    return found


def _front(model) -> Iterator[keras.Operation]:
    """Yields the operations on pixels that no other layer has computed on."""
    pixels = set()
    for tensor in traversal.tensors(model):
        if not all(id(item) in pixels for item in traversal.inputs(tensor)):
            continue
        operation = tensor._keras_history.operation
        yield operation
        if _passes(operation):
            pixels.add(id(tensor))


def _passes(operation):
    return (
        isinstance(operation, _PASSING)
        or type(operation).__name__ in _CASTS
        or _scales(operation)
        or _draws(operation)
    )


def _scales(operation):
    if isinstance(operation, layers.Layer):
        return isinstance(operation, _SCALING)
    return type(operation).__name__ in _ARITHMETIC


def _augments(layer):
    return any(
        isinstance(part, _AUGMENTATIONS) for part in layer._flatten_layers()
    )


def _draws(operation):
    """Returns whether a layer without weights draws random numbers."""
    return (
        isinstance(operation, layers.Layer)
        and not operation.trainable_weights
        and (_augments(operation) or bool(operation._seed_generators))
    )
