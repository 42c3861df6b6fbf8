"""The first batch of a stage, in which a teacher of NaN is refused.

Its loss may be finite all the same: a maximum, for one, may pass NaN over.
"""

import contextlib
import re
from collections.abc import Iterator

import keras
import tensorflow as tf

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

_MARK = "not finite of the teacher:"


def checked(targets: dict, step: Tensor) -> dict:
    """Stops a step where the teacher's outputs are not finite.

    Only an optimizer's first step looks, so others cost nothing. A stage begins
    with a fresh optimizer.

    Args:
        targets: dict by term of tensors, or of tuples of them.
        step: int variable, the steps that the optimizer has done.

    Returns:
        The targets.
    """

    def every():
        for name, tensors in targets.items():
            for tensor in keras.tree.flatten(tensors):
                finite = tf.reduce_all(tf.math.is_finite(tensor))
                tf.debugging.Assert(finite, [f"{_MARK}{name};"])
        return True

    looked = tf.cond(keras.ops.equal(step, 0), every, lambda: True)
    # The student is changed by none that are not finite.
    with tf.control_dependencies([looked]):
        return keras.tree.map_structure(tf.identity, targets)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns what `checked` has stopped into a `UserError`.

    Raises:
        UserError: if the teacher's outputs are not finite.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(f"{_MARK}(.+?);", error.message)
        if not found:
            raise
        raise UserError(
            f"The teacher's outputs for loss/{found[1]} are not finite on its "
            "first batch. Read its weights from a sound file, and look whether "
            "it was made for these images."
        ) from error
