"""Hints, the loss of FitNets: the teacher's map, read through a regressor."""

from typing import Any
from typing import Self

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.losses.adapters import batch_norm
from indistill_tf.losses.adapters import check_map
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.base import Setting
from indistill_tf.losses.indistill import feature_mse


@keras.saving.register_keras_serializable(package="indistill_tf")
class Hints(DistillationLoss):
    """`feature_mse` of the teacher's map and a regression from the student's.

    The regressor, a convolution with batch normalisation and ReLU, trains with
    the student. Its kernel follows from the sizes: 3x3 with stride 2 where the
    student's map has twice the teacher's height and width, 4x4 transposed with
    stride 2 where it has half, otherwise as large as it takes to come down
    without padding (1x1 between equal sizes). Ending in a ReLU, it cannot
    follow a teacher's map below zero: tap after the activation.

    The paper writes half the squared error; this is the mean over elements
    that later comparisons use, with a weight of about 100.

    Args:
        synchronized: bool, whether the regressor's normalisation takes the
            statistics of the batch over all replicas. Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's map, `[N, H, W, C]`.
        student: the student's map, `[N, H', W', C']`.
        training: bool, whether the regressor normalises with the statistics
            of the batch. Defaults to True.

    Raises:
        UserError: if a map's size is unknown, or no regressor leads from the
            student's size to the teacher's.

    References:
        - [Romero et al., 2015](https://arxiv.org/abs/1412.6550),
          the hint-based loss
    """

    endpoint = "tap"
    provided = ("synchronized",)
    adapters = "convolution, batch norm"

    def __init__(self, synchronized: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.synchronized = synchronized

    @classmethod
    def create(cls, setting: Setting, **options: Any) -> Self:
        return cls(synchronized=setting.replicas > 1, **options)

    def build(self, teacher_shape: tuple, student_shape: tuple) -> None:
        check_map("teacher", teacher_shape)
        check_map("student", student_shape)
        self.convolution, self.padding = _make_convolution(
            tuple(teacher_shape[1:3]),
            tuple(student_shape[1:3]),
            filters=teacher_shape[-1],
            dtype=self.dtype_policy,
        )
        self.normalization = batch_norm(self.dtype_policy, self.synchronized)
        batch, height, width, channels = student_shape
        margin = 2 * self.padding
        self.convolution.build(
            (batch, height + margin, width + margin, channels)
        )
        self.normalization.build(teacher_shape)

    def regress(self, student: Tensor, training: bool = True) -> Tensor:
        """Returns the student's map in the teacher's shape.

        Args:
            student: the student's map, `[N, H', W', C']`.
            training: bool. Defaults to True.
        """
        if self.padding:
            sides = (self.padding, self.padding)
            student = ops.pad(student, ((0, 0), sides, sides, (0, 0)))
        return ops.relu(
            self.normalization(self.convolution(student), training=training)
        )

    def call(
        self, teacher: Tensor, student: Tensor, training: bool = True
    ) -> Tensor:
        return feature_mse(teacher, self.regress(student, training))

    def get_config(self) -> dict:
        return {**super().get_config(), "synchronized": self.synchronized}


def _make_convolution(teacher_size, student_size, **kwargs):
    """Returns the convolution between two sizes, and the padding before it."""
    pairs = list(zip(teacher_size, student_size))
    if all(student == 2 * teacher for teacher, student in pairs):
        # Explicit padding: Keras' "same" is off by a pixel with stride 2.
        return layers.Conv2D(kernel_size=3, strides=2, **kwargs), 1
    if all(2 * student == teacher for teacher, student in pairs):
        upwards = layers.Conv2DTranspose(
            kernel_size=4, strides=2, padding="same", **kwargs
        )
        return upwards, 0
    if all(student >= teacher for teacher, student in pairs):
        kernel_size = [1 + student - teacher for teacher, student in pairs]
        return layers.Conv2D(kernel_size=kernel_size, **kwargs), 0
    raise UserError(
        "Hints needs a student's map that is at least as large as the "
        "teacher's, or half its height and width. Received: teacher "
        f"{teacher_size}, student {student_size}. Choose another pair of taps."
    )
