"""SRRL, softmax regression: the teacher's classifier judges the student."""

import math
from typing import Any
from typing import Self

import keras
import numpy as np
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.hints import Tensor
from indistill_tf.losses.adapters import batch_norm
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.base import Setting
from indistill_tf.losses.numerics import at_least_float32


def pooled_feature_mse(teacher_map: Tensor, connected_map: Tensor) -> Tensor:
    """Mean squared difference of two maps averaged over their pixels.

    Args:
        teacher_map: tensor `[N, H, W, C]`, or a vector `[N, C]`.
        connected_map: tensor `[N, H', W', C]` or `[N, C]`, the student's
            feature behind its connector.

    Returns:
        Scalar tensor.

    References:
        - [Yang et al., 2021](https://openreview.net/forum?id=ZzwDy_wiWv),
          the feature-matching loss
    """
    return ops.mean(ops.square(_pool(teacher_map) - _pool(connected_map)))


def head_mse(teacher_logits: Tensor, connected_logits: Tensor) -> Tensor:
    """Mean squared difference of the logits of the teacher's classifier.

    Args:
        teacher_logits: tensor `[N, classes]`, of the teacher's feature.
        connected_logits: tensor `[N, classes]`, of the student's feature
            behind its connector, through the same classifier.

    Returns:
        Scalar tensor.

    References:
        - [Yang et al., 2021](https://openreview.net/forum?id=ZzwDy_wiWv),
          the softmax-regression loss between logits
    """
    teacher_logits, connected_logits = at_least_float32(
        teacher_logits, connected_logits
    )
    return ops.mean(ops.square(teacher_logits - connected_logits))


def _pool(features):
    (features,) = at_least_float32(features)
    if len(features.shape) == 2:
        return features
    return ops.mean(features, axis=(1, 2))


@keras.saving.register_keras_serializable(package="indistill_tf")
class SoftmaxRegression(DistillationLoss):
    """`pooled_feature_mse` plus `head_mse`, behind a connector.

    The connector, a 1x1 convolution (a dense layer for vectors) with batch
    normalisation and ReLU, trains with the student. The teacher's head is
    frozen: it owns no trainable variable, and gradients pass through it.

    Args:
        head_kernel: array `[C, classes]`, the teacher's last dense layer.
        head_bias: array `[classes]`, or None for zeros. Defaults to None.
        head_weight: float, the weight of `head_mse`. Defaults to 1.
        synchronized: bool, whether the connector's normalisation takes the
            statistics of the batch over all replicas. Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the feature before the teacher's head: a map `[N, H, W, C]`,
            averaged over its pixels, or a vector `[N, C]`.
        student: the student's feature, a map of any size and width or a
            vector.
        training: bool, whether the connector normalises with the statistics
            of the batch. Defaults to True.

    Raises:
        UserError: if kernel, bias and the teacher's feature do not fit.

    Example:

    ```python
    kernel, bias = teacher.get_layer("logits").get_weights()
    loss = indistill_tf.losses.SoftmaxRegression(kernel, bias)
    ```

    References:
        - [Yang et al., 2021](https://openreview.net/forum?id=ZzwDy_wiWv)
    """

    endpoint = "unpooled"
    provided = ("head_bias", "synchronized")
    adapters = "1x1 convolution or dense layer, batch norm"

    def __init__(
        self,
        head_kernel: Tensor,
        head_bias: Tensor | None = None,
        head_weight: float = 1.0,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kernel = np.asarray(head_kernel)
        bias = np.zeros(kernel.shape[-1:]) if head_bias is None else head_bias
        bias = np.asarray(bias, dtype=kernel.dtype)
        if kernel.ndim != 2 or bias.shape != kernel.shape[1:]:
            raise UserError(
                "The teacher's head must be a kernel [C, classes] and a bias "
                f"[classes]. Received: shapes {kernel.shape} and {bias.shape}."
            )
        self.head_kernel = kernel
        self.head_bias = bias
        self.head_weight = head_weight
        self.synchronized = synchronized

    @classmethod
    def create(cls, setting: Setting, **options: Any) -> Self:
        head = endpoints.classifier(setting.teacher)
        if head is None:
            raise UserError(
                "SRRL judges the student by the teacher's classifier, a last "
                f"dense layer. Received: model {setting.teacher.name!r}, which "
                "has none."
            )
        kernel, *bias = head.get_weights()
        # The classifier may be a convolution of 1 x 1 pixel.
        kernel = kernel.reshape(kernel.shape[-2:])
        return cls(kernel, *bias, synchronized=setting.replicas > 1, **options)

    def build(self, teacher_shape: tuple, student_shape: tuple) -> None:
        width = self.head_kernel.shape[0]
        if teacher_shape[-1] != width:
            raise UserError(
                f"The teacher's head reads {width} channels, but its feature "
                f"has shape {tuple(teacher_shape)}. Tap the last layer before "
                "the head."
            )
        self.projection = self._make_projection(width, student_shape)
        self.normalization = batch_norm(self.dtype_policy, self.synchronized)
        self.normalization.build((*student_shape[:-1], width))
        self.kernel = self._add_frozen("head_kernel", self.head_kernel)
        self.bias = self._add_frozen("head_bias", self.head_bias)

    def _make_projection(self, width, student_shape):
        options = {
            "use_bias": False,
            "kernel_initializer": keras.initializers.RandomNormal(
                stddev=math.sqrt(2 / width)
            ),
            "dtype": self.dtype_policy,
        }
        if len(student_shape) == 2:
            projection = layers.Dense(width, **options)
        else:
            projection = layers.Conv2D(width, 1, **options)
        projection.build(student_shape)
        return projection

    def _add_frozen(self, name, values):
        return self.add_weight(
            name=name,
            shape=values.shape,
            initializer=keras.initializers.Constant(values),
            trainable=False,
        )

    def head(self, features: Tensor) -> Tensor:
        """Returns the logits of the teacher's head.

        Args:
            features: tensor `[N, C]`.
        """
        return ops.matmul(features, self.kernel) + self.bias

    def connect(self, student: Tensor, training: bool = True) -> Tensor:
        """Returns the student's feature in the teacher's channels.

        Args:
            student: the student's map or vector.
            training: bool. Defaults to True.
        """
        return ops.relu(
            self.normalization(self.projection(student), training=training)
        )

    def call(
        self, teacher: Tensor, student: Tensor, training: bool = True
    ) -> Tensor:
        connected = _pool(self.connect(student, training))
        target = _pool(teacher)
        return pooled_feature_mse(
            target, connected
        ) + self.head_weight * head_mse(self.head(target), self.head(connected))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "head_kernel": self.head_kernel.tolist(),
            "head_bias": self.head_bias.tolist(),
            "head_weight": self.head_weight,
            "synchronized": self.synchronized,
        }
