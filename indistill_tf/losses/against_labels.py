"""Losses and accuracy against labels, as a model's output asks for them."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.graph.heads import LOGITS
from indistill_tf.graph.heads import Head
from indistill_tf.hints import Tensor
from indistill_tf.losses.label_smoothing import SmoothedCrossentropy
from indistill_tf.losses.label_smoothing import Smoothing


def crossentropy(
    head: Head | None = None, label_smoothing: float = 0.0
) -> keras.losses.Loss:
    """Returns the cross-entropy of a model's output against the labels.

    Args:
        head: what the output is. Defaults to None: logits of classes.
        label_smoothing: float from 0 to below 1. Defaults to 0.

    Raises:
        UserError: if `label_smoothing` is out of range.
    """
    from_logits = head is None or head.kind == LOGITS
    if head is not None and head.sigmoid:
        return SigmoidCrossentropy(from_logits, label_smoothing)
    if label_smoothing:
        return SmoothedCrossentropy(label_smoothing, from_logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)


def accuracy(head: Head | None = None) -> str | Callable:
    """Returns the accuracy of a model's output, for `compile(metrics=...)`.

    Args:
        head: what the output is. Defaults to None: logits of classes.

    Returns:
        `"accuracy"`, which Keras knows for classes; for sigmoids a function
        of this name: the share of right answers over all units, or where
        labels are classes over images, of which the greatest unit counts.
    """
    if head is None or not head.sigmoid:
        return "accuracy"
    threshold = 0.0 if head.kind == LOGITS else 0.5

    def accuracy(y_true, y_pred):
        y_true, y_pred = map(ops.convert_to_tensor, (y_true, y_pred))
        if _are_classes(y_true, y_pred):
            return keras.metrics.sparse_categorical_accuracy(y_true, y_pred)
        right = (y_pred > threshold) == (_of_units(y_true, y_pred) > 0.5)
        return ops.mean(ops.cast(right, "float32"), axis=-1)

    return accuracy


@keras.saving.register_keras_serializable(package="indistill_tf")
class SigmoidCrossentropy(Smoothing):
    """Binary cross-entropy, the mean over the units of a model's output.

    Args:
        from_logits: bool, whether the output comes without its sigmoid.
            Defaults to True.
        label_smoothing: float from 0 to below 1, the part of a label that is
            1/2. Defaults to 0.
        name: string. Defaults to `"sigmoid_crossentropy"`.
        **kwargs: `reduction` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: `[N]` or `[N, 1]`, 0 or 1 for one unit; for K units `[N, K]`
            of 0 and 1, or ints `[N]`, classes of which an image has one.
        y_pred: `[N, K]`.

    Raises:
        UserError: if `label_smoothing` is out of range, or labels do not fit
            the output.

    Example:

    >>> loss = SigmoidCrossentropy()
    >>> round(float(loss([1, 0], [[2.0], [0.0]])), 3)
    0.41
    """

    def __init__(
        self,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        name: str = "sigmoid_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(label_smoothing, from_logits, name, **kwargs)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true, y_pred = map(ops.convert_to_tensor, (y_true, y_pred))
        return keras.losses.binary_crossentropy(
            _of_units(y_true, y_pred),
            y_pred,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
        )


def _are_classes(labels, outputs):
    """Returns whether labels are numbers of the units, one an image."""
    shape, units = tuple(labels.shape), outputs.shape[-1]
    return units > 1 and (len(shape) == 1 or shape[1:] == (1,))


def _of_units(labels, outputs):
    """Returns labels of the shape of an output, 0 or 1 for each unit."""
    units = outputs.shape[-1]
    if _are_classes(labels, outputs):
        classes = ops.reshape(ops.cast(labels, "int32"), (-1,))
        return ops.one_hot(classes, units, dtype=outputs.dtype)
    labels = ops.cast(labels, outputs.dtype)
    if len(labels.shape) == 1:
        labels = labels[:, None]
    if labels.shape[-1] != units:
        raise UserError(
            f"The output has {units} sigmoid(s), the labels have shape "
            f"{tuple(labels.shape)}. Give 0 or 1 for each: [N] for one, "
            f"[N, {units}] for {units}."
        )
    return labels
