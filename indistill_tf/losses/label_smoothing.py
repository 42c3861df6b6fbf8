"""Cross-entropy against labels that are smoothed (Szegedy et al., 2016)."""

from typing import Any

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor


class Smoothing(keras.losses.Loss):
    """A cross-entropy whose labels may be smoothed; the base of two.

    Args:
        label_smoothing: float from 0 to below 1.
        from_logits: bool, whether the output is logits, and not probabilities.
        name: string.
        **kwargs: `reduction` and `dtype` of `keras.losses.Loss`.

    Raises:
        UserError: if `label_smoothing` is out of range.
    """

    def __init__(
        self,
        label_smoothing: float,
        from_logits: bool,
        name: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise UserError(
                "`label_smoothing` must be from 0 to below 1. Received: "
                f"{label_smoothing}"
            )
        self.label_smoothing = label_smoothing
        self.from_logits = from_logits

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "from_logits": self.from_logits,
        }


@keras.saving.register_keras_serializable(package="indistill_tf")
class SmoothedCrossentropy(Smoothing):
    """Cross-entropy against labels that give all classes a part.

    Of K classes each gets `label_smoothing / K`, the image's own the rest in
    addition.

    Args:
        label_smoothing: float from 0 to below 1.
        from_logits: bool, whether the output is logits, and not their softmax.
            Defaults to True.
        name: string. Defaults to `"smoothed_crossentropy"`.
        **kwargs: `reduction` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: ints `[N]`, the classes.
        y_pred: logits `[N, K]`, or probabilities.

    Raises:
        UserError: if `label_smoothing` is out of range.

    Example:

    >>> loss = SmoothedCrossentropy(0.2)
    >>> round(float(loss([0], [[2.0, 0.0]])), 3)
    0.327

    References:
        - [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567), sec. 7
    """

    def __init__(
        self,
        label_smoothing: float,
        from_logits: bool = True,
        name: str = "smoothed_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(label_smoothing, from_logits, name, **kwargs)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_pred = ops.convert_to_tensor(y_pred)
        classes = ops.shape(y_pred)[-1]
        labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        return keras.losses.categorical_crossentropy(
            ops.one_hot(labels, classes, dtype=y_pred.dtype),
            y_pred,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
        )
