"""FT, factor transfer: the teacher's map paraphrased, the student's translated.

First the paraphraser is trained on the teacher's maps alone, to reconstruct
them through a narrower factor. Then, fixed, it gives the targets of the
translator, which trains with the student.
"""

from typing import Any

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.losses.adapters import check_map
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import safe_unit_rows

_SLOPE = 0.1
_EPSILON = 1e-12


def factor_distance(teacher_factor: Tensor, student_factor: Tensor) -> Tensor:
    """Mean absolute difference of factors, each sample scaled to norm one.

    The mean is over samples and elements, so the value falls like one over
    the root of the factor's size; the authors weigh it with 500.

    Args:
        teacher_factor: tensor `[N, ...]`, flattened to `[N, D]`.
        student_factor: tensor `[N, ...]`, flattened to `[N, D]`.

    Returns:
        Scalar tensor.

    References:
        - [Kim et al., 2018](https://arxiv.org/abs/1802.04977),
          the factor-transfer loss with p = 1
    """
    factors = at_least_float32(teacher_factor, student_factor)
    teacher, student = (
        safe_unit_rows(flatten_samples(factor), _EPSILON) for factor in factors
    )
    return ops.mean(ops.abs(teacher - student))


class ConvolutionStack(layers.Layer):
    """Three 3x3 convolutions of one kind, each with a leaky ReLU behind."""

    def __init__(self, kind, widths, dtype):
        super().__init__(dtype=dtype)
        self.convolutions = [
            kind(width, 3, padding="same", dtype=self.dtype_policy)
            for width in widths
        ]

    def build(self, shape):
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = (*shape[:-1], convolution.filters)

    def call(self, maps):
        for convolution in self.convolutions:
            maps = ops.leaky_relu(convolution(maps), negative_slope=_SLOPE)
        return maps


@keras.saving.register_keras_serializable(package="indistill_tf")
class FactorTransfer(DistillationLoss):
    """`factor_distance` of the paraphrased teacher and translated student.

    The paraphraser is an autoencoder of the teacher's map, three 3x3
    convolutions and three transposed ones; what lies in its middle is the
    factor. `prepare` trains it, `call` leaves it as it is. The translator,
    three 3x3 convolutions, trains with the student. All convolutions have a
    bias and a leaky ReLU of slope 0.1.

    Args:
        rate: float above 0, the factor's channels over those of the teacher's
            map. Defaults to 0.5.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's map, `[N, H, W, C]`.
        student: the student's map, `[N, H, W, C']`.

    Raises:
        UserError: if `rate` is not positive, a map's size is unknown, or the
            maps differ in height or width.

    References:
        - [Kim et al., 2018](https://arxiv.org/abs/1802.04977)
    """

    endpoint = "tap"
    adapters = "paraphraser and translator, three convolutions each"

    def __init__(self, rate: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if rate <= 0:
            raise UserError(f"`rate` must be above 0. Received: rate={rate}")
        self.rate = rate

    def build(self, teacher_shape: tuple, student_shape: tuple) -> None:
        check_map("teacher", teacher_shape)
        check_map("student", student_shape)
        if tuple(teacher_shape[1:3]) != tuple(student_shape[1:3]):
            raise UserError(
                "Factor transfer compares maps of one size. Received: teacher "
                f"{tuple(teacher_shape[1:3])}, student "
                f"{tuple(student_shape[1:3])}. Choose another pair of taps."
            )
        width = teacher_shape[-1]
        narrow = max(1, int(self.rate * width))
        dtype = self.dtype_policy
        self.encoder = ConvolutionStack(
            layers.Conv2D, (width, narrow, narrow), dtype
        )
        self.decoder = ConvolutionStack(
            layers.Conv2DTranspose, (narrow, width, width), dtype
        )
        self.translator = ConvolutionStack(
            layers.Conv2D, (student_shape[-1], narrow, narrow), dtype
        )
        self.encoder.build(teacher_shape)
        self.decoder.build((*teacher_shape[:-1], narrow))
        self.translator.build(student_shape)

    @property
    def preparation_variables(self) -> list:
        """The variables of the paraphraser."""
        return (
            self.encoder.trainable_variables + self.decoder.trainable_variables
        )

    def prepare(self, teacher: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean absolute error of the paraphraser.

        So the authors' code has it; the paper writes the squared error.

        Args:
            teacher: the teacher's map, `[N, H, W, C]`.
            labels: unused.
        """
        del labels
        (teacher,) = at_least_float32(teacher)
        return ops.mean(ops.abs(teacher - self.decoder(self.encoder(teacher))))

    def call(self, teacher: Tensor, student: Tensor) -> Tensor:
        target = ops.stop_gradient(self.encoder(teacher))
        return factor_distance(target, self.translator(student))

    def get_config(self) -> dict:
        return {**super().get_config(), "rate": self.rate}
