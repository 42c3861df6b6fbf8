"""Keras' `.weights.h5` files."""

import collections

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line

# Groups that hold no weights of the network.
_STATE = ("optimizer", "metrics", "seed_generator")


def load_h5(model, path):
    """Loads a `.weights.h5` file that has exactly a model's variables.

    Args:
        model: built `keras.Model`.
        path: `pathlib.Path` of the file.

    Raises:
        UserError: if the file is damaged or holds other variables; the model
            is unchanged.
    """
    before = model.get_weights()
    try:
        _check_nothing_is_left(model, path)
        model.load_weights(path)
    except Exception as error:
        model.set_weights(before)
        raise UserError(
            f"{path} does not hold the weights of model {model.name!r} "
            f"({first_line(error)})."
        ) from error


def _check_nothing_is_left(model, path):
    """Raises if the file has variables that the model has not.

    Keras misses those that the file lacks, but passes over those that it has
    beyond the model's.
    """
    own = collections.Counter(tuple(weight.shape) for weight in model.weights)
    left = collections.Counter(_stored_shapes(path)) - own
    if left:
        shapes = ", ".join(f"{n} x {shape}" for shape, n in left.items())
        raise ValueError(f"it has variables the model has not: {shapes}")


def _stored_shapes(path):
    import h5py  # what Keras itself reads these files with

    shapes = []

    def visit(name, item):
        parts = name.split("/")
        if isinstance(item, h5py.Dataset) and not set(parts) & set(_STATE):
            shapes.append(item.shape)

    with h5py.File(path) as file:
        file.visititems(visit)
    return shapes
