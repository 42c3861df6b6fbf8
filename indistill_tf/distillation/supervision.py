"""What `compile` is given, checked against what the student ends in."""

import keras
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError

_BINARY = (
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
)
_CATEGORICAL = (
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
    keras.losses.sparse_categorical_crossentropy,
)


def metrics(given, plan):
    """Returns metrics, the accuracy among them that of the student's head.

    Args:
        given: what `compile` was given for metrics, a list or None.
        plan: `Plan`.
    """
    if not isinstance(given, (list, tuple)):
        return given
    return [
        losses.accuracy(plan.output_head)
        if item in ("accuracy", "acc")
        else item
        for item in given
    ]


def check_loss(loss, plan):
    """Checks that a supervised loss is of what the student's output is.

    Args:
        loss: what `compile` was given: a `keras.losses.Loss`, a function or a
            name.
        plan: `Plan`.

    Raises:
        UserError: if not.
    """
    if not isinstance(loss, str) and not callable(loss):
        return
    loss = keras.losses.get(loss)
    function = getattr(loss, "fn", loss)
    if function not in (*_BINARY, *_CATEGORICAL):
        return
    head = plan.output_head
    if head is None:
        return
    name = function.__name__
    if function in _CATEGORICAL and head.sigmoid:
        raise UserError(
            f"The supervised loss {name} is of classes that exclude each "
            "other, but the student's output is sigmoids. Leave `loss` out, "
            "or use binary_crossentropy."
        )
    if function in _BINARY and plan.reads_logits and not head.sigmoid:
        raise UserError(
            f"The supervised loss {name} is of sigmoids, but the method "
            f"compares logits of classes: the student's output is "
            f'{head.told!r}. Give `head="sigmoid"` if each unit stands alone, '
            "or leave `loss` out."
        )


def check_labels(labels, outputs, loss):
    """Checks that labels are of what the default losses expect.

    Args:
        labels: tensor `[N, ...]`, or None.
        outputs: the student's output, `[N, units]`.
        loss: the supervised loss of `compile`.

    Raises:
        UserError: if labels of classes have a column for each. Labels of
            sigmoids that are not in 0..1 stop the step.
    """
    if labels is None:
        return
    several = len(labels.shape) > 1 and labels.shape[-1] not in (None, 1)
    sparse = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
    if sparse and several and len(outputs.shape) == 2:
        raise UserError(
            "The supervised loss takes the number of each image's class, "
            f"[N]. Received: labels of shape {tuple(labels.shape)}. Give "
            "`loss=keras.losses.CategoricalCrossentropy(from_logits=True)` "
            'for one-hot rows, or `head="sigmoid"` where an image may have '
            "several labels."
        )
    if isinstance(loss, losses.SigmoidCrossentropy) and (
        several or outputs.shape[-1] == 1
    ):
        labels = tf.cast(labels, "float32")
        tf.debugging.Assert(
            tf.reduce_all((labels >= 0) & (labels <= 1)),
            ["Labels of a sigmoid are 0 or 1. Received:", labels],
        )
