"""What `compile` is given, checked against what the student ends in."""

import keras

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
