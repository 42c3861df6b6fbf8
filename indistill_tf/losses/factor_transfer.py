"""FT, factor transfer: the teacher's map paraphrased, the student's translated.

First a `Paraphraser` is trained on the teacher's maps alone, to reconstruct
them through a narrower factor. Then, frozen, it gives the targets of
`FactorTransfer`, whose translator trains with the student.
"""

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.losses.adapters import check_map
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import flatten_samples
from indistill_tf.losses.numerics import safe_unit_rows

_SLOPE = 0.1
_EPSILON = 1e-12


def factor_distance(teacher_factor, student_factor):
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


class _ConvolutionStack(layers.Layer):
    """Three 3x3 convolutions of one kind, each with a leaky ReLU behind."""

    def __init__(self, kind, widths, **kwargs):
        super().__init__(**kwargs)
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
class Paraphraser(layers.Layer):
    """Autoencoder of a teacher's map; what lies in its middle is the factor.

    Three 3x3 convolutions, then three transposed ones, all with bias and a
    leaky ReLU of slope 0.1. Called on maps it returns their reconstruction.

    Args:
        rate: float above 0, the factor's channels over the teacher's.
            Defaults to 0.5.
        name: string, the layer's name.
        dtype: the dtype of computation. Defaults to `"float32"`.

    Call arguments:
        maps: the teacher's maps, `[N, H, W, C]`.

    Raises:
        ValueError: if `rate` is not positive.

    References:
        - [Kim et al., 2018](https://arxiv.org/abs/1802.04977),
          the paraphraser
    """

    def __init__(self, rate=0.5, name=None, dtype="float32", **kwargs):
        super().__init__(name=name, dtype=dtype, **kwargs)
        if rate <= 0:
            raise ValueError(f"`rate` must be above 0. Received: rate={rate}")
        self.rate = rate

    def factor_width(self, width):
        """Returns the channels of the factor of a map.

        Args:
            width: int, the channels of the map.
        """
        return max(1, int(self.rate * width))

    def build(self, shape):
        check_map("teacher", shape)
        width = shape[-1]
        narrow = self.factor_width(width)
        self.encoder = _ConvolutionStack(
            layers.Conv2D, (width, narrow, narrow), dtype=self.dtype_policy
        )
        self.decoder = _ConvolutionStack(
            layers.Conv2DTranspose,
            (narrow, width, width),
            dtype=self.dtype_policy,
        )
        self.encoder.build(shape)
        self.decoder.build((*shape[:-1], narrow))
        # Keras lets layers made now train, even below a frozen one.
        self.encoder.trainable = self.trainable
        self.decoder.trainable = self.trainable

    def factor(self, maps):
        """Returns the factor, `[N, H, W, rate * C]`.

        Args:
            maps: the teacher's maps, `[N, H, W, C]`.
        """
        if not self.built:
            self.build(maps.shape)
        return self.encoder(maps)

    def call(self, maps):
        return self.decoder(self.encoder(maps))

    def reconstruction_loss(self, maps):
        """Returns the mean absolute error, as in the authors' code.

        The paper writes the squared error.

        Args:
            maps: the teacher's maps, `[N, H, W, C]`.
        """
        (maps,) = at_least_float32(maps)
        return ops.mean(ops.abs(maps - self(maps)))

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(package="indistill_tf")
class FactorTransfer(DistillationLoss):
    """`factor_distance` of the paraphrased teacher and translated student.

    The translator, three 3x3 convolutions with leaky ReLU, trains with the
    student. The paraphraser is frozen: the first call makes it untrainable for
    good, and no gradient ever reaches it.

    Args:
        paraphraser: a `Paraphraser` trained on the teacher's maps.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's map, `[N, H, W, C]`.
        student: the student's map, `[N, H, W, C']`.

    Raises:
        UserError: if the maps differ in height or width.

    References:
        - [Kim et al., 2018](https://arxiv.org/abs/1802.04977),
          the translator and the factor-transfer loss
    """

    endpoint = "tap"

    def __init__(self, paraphraser, **kwargs):
        super().__init__(**kwargs)
        self.paraphraser = paraphraser

    def build(self, teacher_shape, student_shape):
        check_map("teacher", teacher_shape)
        check_map("student", student_shape)
        if tuple(teacher_shape[1:3]) != tuple(student_shape[1:3]):
            raise UserError(
                "Factor transfer compares maps of one size. Received: teacher "
                f"{tuple(teacher_shape[1:3])}, student "
                f"{tuple(student_shape[1:3])}. Choose another pair of taps."
            )
        if not self.paraphraser.built:  # One made from a saved config.
            self.paraphraser.build(teacher_shape)
        self.paraphraser.trainable = False
        narrow = self.paraphraser.factor_width(teacher_shape[-1])
        self.translator = _ConvolutionStack(
            layers.Conv2D,
            (student_shape[-1], narrow, narrow),
            dtype=self.dtype_policy,
        )
        self.translator.build(student_shape)

    @property
    def trainable(self):
        """Whether the translator trains; the paraphraser never does."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        # Keras sets it on every layer below, for a whole model too.
        layers.Layer.trainable.fset(self, value)
        if self.built:
            self.paraphraser.trainable = False

    def call(self, teacher, student):
        target = ops.stop_gradient(self.paraphraser.factor(teacher))
        return factor_distance(target, self.translator(student))

    def get_config(self):
        return {
            **super().get_config(),
            "paraphraser": keras.saving.serialize_keras_object(
                self.paraphraser
            ),
        }

    @classmethod
    def from_config(cls, config):
        paraphraser = keras.saving.deserialize_keras_object(
            config["paraphraser"]
        )
        return cls(**{**config, "paraphraser": paraphraser})
