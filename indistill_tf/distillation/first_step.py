"""What a step refuses: a teacher of NaN, and labels that no class has.

The loss of what is refused may be finite all the same: a maximum may pass NaN
over, and of a class that there is not a smoothed label is near zero for all.
The teacher is the same in every step, so only an optimizer's first one looks at
it. Labels may be wrong in any batch, and are few.
"""

import contextlib
import dataclasses
import re
from collections.abc import Callable
from collections.abc import Iterator

import keras
import tensorflow as tf

from indistill_tf.distillation.batch import Batch
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

# Around what is to be read of an error of TensorFlow.
_BEGIN, _END = "<refused>", "</refused>"


def targets_checked(targets: dict, step: Tensor) -> dict:
    """Stops a first step where the teacher's outputs are not finite.

    Args:
        targets: dict by term of tensors, or of tuples of them.
        step: int variable, the steps that the optimizer has done.

    Returns:
        The targets.
    """

    def check():
        for name, tensors in targets.items():
            for tensor in keras.tree.flatten(tensors):
                _refuse_unless(
                    tf.reduce_all(tf.math.is_finite(tensor)),
                    lambda name=name: (
                        f"The teacher's outputs for loss/{name} are not finite "
                        "on its first batch. Read its weights from a sound "
                        "file, and look whether it was made for these images."
                    ),
                )

    return _in_first_step(check, targets, step)


def labels_checked(batch: Batch, highest: int | None) -> Batch:
    """Stops a step where labels are of no class that there is.

    Args:
        batch: `Batch`.
        highest: int, the highest label; None for labels of another kind.

    Returns:
        The batch.
    """
    if batch.labels is None or highest is None:
        return batch
    # The images too: a warm-up reads no labels.
    looked = check_labels(batch.labels, highest)
    images, labels = _after(looked, (batch.images, batch.labels))
    return dataclasses.replace(batch, images=images, labels=labels)


def check_labels(labels: Tensor, highest: int) -> Tensor:
    """Stops where labels are not from 0 to the highest.

    Args:
        labels: tensor or array of numbers.
        highest: int.

    Returns:
        True, when it has looked.
    """
    labels = tf.convert_to_tensor(labels)
    low, high = tf.reduce_min(labels), tf.reduce_max(labels)
    bound = tf.cast(highest, labels.dtype)
    return _refuse_unless(
        (low >= 0) & (high <= bound),
        lambda: tf.strings.join(
            [
                f"Labels of this output are from 0 to {highest}. Received: ",
                *("from ", tf.strings.as_string(low)),
                *(" to ", tf.strings.as_string(high)),
                ". Count classes from 0, and give the output a unit for each.",
            ]
        ),
    )


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns what a step has refused into a `UserError`.

    Raises:
        UserError: if something was refused.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(f"{_BEGIN}(.+?){_END}", error.message)
        if not found:
            raise
        raise UserError(found[1]) from error


def _refuse_unless(condition, message):
    def refuse():
        text = tf.strings.join([_BEGIN, message(), _END])
        tf.debugging.Assert(False, [text])
        return False

    return tf.cond(condition, lambda: True, refuse)


def _in_first_step(check: Callable[[], None], tensors, step):
    def checked():
        check()
        return True

    looked = tf.cond(keras.ops.equal(step, 0), checked, lambda: True)
    return _after(looked, tensors)


def _after(looked, tensors):
    # The student is changed by none that are refused.
    with tf.control_dependencies([looked]):
        return keras.tree.map_structure(tf.identity, tensors)
