"""Quantisation-aware training: rounding that a network learns to live with."""

from typing import Any

import keras
from keras import layers
from keras import ops

from indistill_tf.deploy.compressed import CompressedKernel
from indistill_tf.deploy.compressed import Passing
from indistill_tf.deploy.compressed import compressed
from indistill_tf.deploy.compressed import functional
from indistill_tf.errors import UserError
from indistill_tf.graph import heads
from indistill_tf.graph.traversal import operation
from indistill_tf.hints import Tensor

# Of a tensor's range, what a step keeps that sees smaller values.
_DECAY = 0.99
_ACTIVATION_BITS = 8
_WEIGHT_BITS = (4, 8)
# Of the first kernel, as `weight_types.keeps_8_bits` has it in a file.
_FIRST_BITS = 8
_ACTIVATIONS = (
    *(layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU),
    *(layers.Add, layers.Average, layers.Concatenate, layers.Maximum),
    *(layers.Multiply, layers.Subtract),
)


class QuantizedKernel(CompressedKernel):
    """Mixin for a layer that computes with a rounded kernel.

    Each output channel has a scale of its own and no zero point. The gradient
    passes the rounding as if there were none.

    Args:
        weight_bits: int, 8 or 4. Defaults to 8.
        **kwargs: see the plain layer.
    """

    # Axes of the kernel whose values share a scale.
    shared_axes = (0, 1, 2)
    least_bits = 4

    def __init__(self, *, weight_bits: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight_bits = weight_bits

    def compressed_kernel(self) -> Tensor:
        """Returns the kernel, rounded."""
        bits = max(self.weight_bits, self.least_bits)
        return rounded(self.kernel, bits, self.shared_axes)

    def call(self, inputs: Tensor) -> Tensor:
        kernel = ops.convert_to_tensor(self.kernel)
        error = ops.stop_gradient(self.compressed_kernel() - kernel)
        # The plain layer's own `call`, on the kernel's other value.
        with keras.StatelessScope([(self.kernel, kernel + error)]):
            return super().call(inputs)

    def get_config(self) -> dict:
        return {**super().get_config(), "weight_bits": self.weight_bits}


@keras.saving.register_keras_serializable(package="indistill_tf")
class QuantizedConv2D(QuantizedKernel, layers.Conv2D):
    """`Conv2D` with a rounded kernel, see `QuantizedKernel`."""


@keras.saving.register_keras_serializable(package="indistill_tf")
class QuantizedDepthwiseConv2D(QuantizedKernel, layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a kernel rounded to 8 bits.

    LiteRT multiplies no depthwise kernels of 4. Arguments are those of
    `QuantizedKernel`.
    """

    shared_axes = (0, 1)
    least_bits = 8


@keras.saving.register_keras_serializable(package="indistill_tf")
class QuantizedDense(QuantizedKernel, layers.Dense):
    """`Dense` with a rounded kernel, see `QuantizedKernel`."""

    shared_axes = (0,)


@keras.saving.register_keras_serializable(package="indistill_tf")
class FakeQuantization(Passing):
    """Rounds activations to 8 bits within the range that training has met.

    The range holds zero and all values of the last steps: what a step does
    not reach any more shrinks by a hundredth. Without training nothing is
    rounded.

    Args:
        **kwargs: see `keras.layers.Layer`.
    """

    def build(self, shape: tuple) -> None:
        self.lowest = self._bound("lowest")
        self.highest = self._bound("highest")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if training:
            self._widen(inputs)
        fake = keras.quantizers.fake_quant_with_min_max_vars(
            inputs, self.lowest, self.highest, num_bits=_ACTIVATION_BITS
        )
        return ops.where(self.highest > self.lowest, fake, inputs)

    def _bound(self, name):
        return self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            autocast=False,
            aggregation="mean",
            name=name,
        )

    def _widen(self, inputs):
        inputs = ops.cast(ops.stop_gradient(inputs), "float32")
        lowest, highest = ops.min(inputs), ops.max(inputs)
        self.lowest.assign(ops.minimum(lowest, _DECAY * self.lowest))
        self.highest.assign(ops.maximum(highest, _DECAY * self.highest))


_KINDS = {
    layers.Conv2D: QuantizedConv2D,
    layers.DepthwiseConv2D: QuantizedDepthwiseConv2D,
    layers.Dense: QuantizedDense,
}


def quantized(model: keras.Model, weight_bits: int = 8) -> keras.Model:
    """Returns a clone that computes with rounded kernels and activations.

    Kernels of `Conv2D` and `Dense` are rounded to the given bits; the first
    one, those of `DepthwiseConv2D`, activations and sums of layers to 8. The
    output is not rounded. Train the clone, by the `Distiller` or from labels,
    and `strip` it.

    Args:
        model: functional or built `Sequential` `keras.Model`, trained.
        weight_bits: int, 8 or 4. Defaults to 8.

    Returns:
        Functional `keras.Model` whose layers have the names of the model's.

    Raises:
        UserError: if the number of bits is another, no layer can be rounded,
            or one cannot be cloned.

    References:
        - [Jacob et al., 2017](https://arxiv.org/abs/1712.05877), sec. 3
        - [Krishnamoorthi, 2018](https://arxiv.org/abs/1806.08342), sec. 2.4
    """
    if weight_bits not in _WEIGHT_BITS:
        raise UserError(
            f"`weight_bits` is 8 or 4. Received: weight_bits={weight_bits}"
        )
    model = functional(model)
    outputs = map(heads.undeclared, model.outputs)
    ends = {operation(tensor).name for tensor in outputs}

    def after(layer):
        if layer.name in ends or not _activates(layer):
            return None
        return FakeQuantization(name=f"{layer.name}_range")

    first = next((x for x in model.layers if type(x) in _KINDS), None)

    def options(layer):
        return {"weight_bits": _FIRST_BITS if layer is first else weight_bits}

    return compressed(model, _KINDS, after, options)


def rounded(kernel: Tensor, bits: int, shared_axes: tuple) -> Tensor:
    """Returns a kernel whose values are whole multiples of a scale.

    With 4 bits these are -7 to 7. The largest magnitude among the values that
    share a scale stays what it is.

    Args:
        kernel: tensor.
        bits: int.
        shared_axes: ints, the axes whose values share a scale.
    """
    levels = 2 ** (bits - 1) - 1
    largest = ops.max(ops.abs(kernel), axis=shared_axes, keepdims=True)
    scale = ops.maximum(largest / levels, keras.config.epsilon())
    return ops.round(kernel / scale) * scale


def _activates(layer):
    """Returns whether a runtime stores what a layer computes as integers."""
    activation = getattr(layer, "activation", keras.activations.linear)
    if activation is not keras.activations.linear:
        return True
    return isinstance(layer, _ACTIVATIONS)
