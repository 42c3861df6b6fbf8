"""What `compile` is given, checked against what the student ends in."""

import dataclasses

import keras
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.errors import UserError
from indistill_tf.graph.heads import LOGITS

_BINARY = (
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
)
_CATEGORICAL = (
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
    keras.losses.sparse_categorical_crossentropy,
)


def metrics(given, head):
    """Returns metrics, the accuracy among them that of the student's head.

    Args:
        given: what `compile` was given for metrics, a list or None.
        head: `indistill_tf.graph.heads.Head` of the student, or None.
    """
    if not isinstance(given, (list, tuple)):
        return given
    return [
        losses.accuracy(head) if item in ("accuracy", "acc") else item
        for item in given
    ]


def read_by(loss, head):
    """Returns a head whose logits are read as a supervised loss reads them.

    Args:
        loss: what `compile` was given.
        head: `indistill_tf.graph.heads.Head` of the student, or None.
    """
    logits = head is not None and head.kind == LOGITS
    if logits and _function(loss) in _BINARY:
        return dataclasses.replace(head, sigmoid=True)
    return head


def check_loss(loss, plan):
    """Checks that a supervised loss is of what the student's output is.

    Args:
        loss: what `compile` was given: a `keras.losses.Loss`, a function or a
            name.
        plan: `Plan`.

    Raises:
        UserError: if not.
    """
    function = _function(loss)
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
        UserError: if labels of classes have a column for each.
    """
    if labels is None:
        return
    sparse = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
    if sparse and _has_columns(labels) and len(outputs.shape) == 2:
        raise UserError(
            "The supervised loss takes the number of each image's class, "
            f"[N]. Received: labels of shape {tuple(labels.shape)}. Give "
            "`loss=keras.losses.CategoricalCrossentropy(from_logits=True)` "
            'for one-hot rows, or `head="sigmoid"` where an image may have '
            "several labels."
        )


def highest_label(labels, units, loss):
    """Returns the highest label that a loss expects, or None if unknown.

    Args:
        labels: tensor or array `[N, ...]`, or None.
        units: int, of the student's output.
        loss: the supervised loss of `compile`.
    """
    if (
        labels is None
        or keras.backend.standardize_dtype(labels.dtype) == "bool"
    ):
        return None
    if isinstance(loss, losses.SigmoidCrossentropy):
        return 1 if units == 1 or _has_columns(labels) else units - 1
    of_classes = _function(loss) is _CATEGORICAL[-1]
    if isinstance(loss, losses.SmoothedCrossentropy) or (
        of_classes and getattr(loss, "ignore_class", None) is None
    ):
        return units - 1
    return None


def check_given(given):
    """Checks that class weights have labels to go by.

    Args:
        given: dict of what `fit` was given.

    Raises:
        UserError: if not.
    """
    if given.get("class_weight") is None or given.get("y") is not None:
        return
    images = given.get("x")
    if isinstance(images, tf.data.Dataset):
        spec = images.element_spec
        alone = not isinstance(spec, tuple) or len(spec) == 1
    else:
        # What yields batches shows their labels in the first step alone.
        alone = hasattr(images, "shape") or isinstance(images, (dict, list))
    if alone:
        raise UserError(
            "`class_weight` weighs images by their labels, but the data bring "
            "images alone. Give (images, labels), or leave it out."
        )


def _function(loss):
    """Returns the function behind a loss of Keras', or the loss itself."""
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    return getattr(loss, "fn", loss)


def _has_columns(labels):
    return len(labels.shape) > 1 and labels.shape[-1] not in (None, 1)
