"""The same network with fewer passes over memory, for training steps.

Batch normalisation takes as long as the small convolutions around it, because
Keras 3.15 writes it as seven operations. Behind a convolution whose statistics
are fixed it is part of the kernel; where it takes those of the batch it is one
operation of TensorFlow. Weights stay where they are: nothing is copied.
"""

import collections

import keras
import tensorflow as tf
from keras import layers
from keras import ops

from indistill_tf.graph import traversal


def fused(view, training, passed_by=()):
    """Returns a network that computes what a view does, faster.

    Args:
        view: functional `keras.Model`, see `indistill_tf.endpoints.view`.
        training: bool, how it will be called: with True, batch normalisation
            takes the statistics of the batch and moves its averages.
        passed_by: names of layers that are called as in inference. Defaults
            to `()`.

    Returns:
        A functional model over the same variables. Values differ from the
        view's by rounding.
    """
    folded = {} if training else _folded_pairs(view)
    convolutions = {conv.name for conv in folded.values()}

    def clone(layer):
        if layer.name in folded:
            return FoldedConv2D(folded[layer.name], layer)
        if layer.name in convolutions:
            return layers.Identity(name=layer.name)
        if training and _is_fusible(layer):
            return FusedBatchNormalization(layer)
        if layer.name in passed_by:
            return InInference(layer)
        return layer

    return keras.models.clone_model(view, clone_function=clone)


class FoldedConv2D(layers.Layer):
    """A convolution and the frozen batch normalisation behind it.

    Args:
        conv: built `keras.layers.Conv2D` without activation.
        norm: built `keras.layers.BatchNormalization` in inference mode.
    """

    def __init__(self, conv, norm):
        super().__init__(
            name=norm.name, trainable=False, dtype=conv.dtype_policy
        )
        self.conv, self.norm = conv, norm
        self.built = True

    def call(self, images, training=False, mask=None):
        del training, mask
        conv, norm = self.conv, self.norm
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.scale:
            scale *= norm.gamma
        bias = -norm.moving_mean * scale
        if norm.center:
            bias += norm.beta
        if conv.use_bias:
            bias += conv.bias * scale
        maps = ops.conv(
            images,
            ops.cast(conv.kernel * scale, self.compute_dtype),
            strides=conv.strides,
            padding=conv.padding,
            dilation_rate=conv.dilation_rate,
        )
        return maps + ops.cast(bias, self.compute_dtype)


class FusedBatchNormalization(layers.Layer):
    """Batch normalisation in training, as one operation of TensorFlow.

    Args:
        norm: built `keras.layers.BatchNormalization` over the last of four
            axes.
    """

    def __init__(self, norm):
        super().__init__(name=norm.name, dtype=norm.dtype_policy)
        self.norm = norm
        self.built = True

    def call(self, maps, training=False, mask=None):
        norm = self.norm
        if mask is not None or not (training and norm.trainable):
            return norm(maps, training=training, mask=mask)
        ones, zeros = ops.ones_like, ops.zeros_like
        normal = tf.raw_ops.FusedBatchNormV3(
            x=maps,
            scale=norm.gamma if norm.scale else ones(norm.moving_mean),
            offset=norm.beta if norm.center else zeros(norm.moving_mean),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=norm.epsilon,
            is_training=True,
        )
        # The operation divides by n - 1 where Keras divides by n.
        count = tf.cast(tf.reduce_prod(tf.shape(maps)[:3]), "float32")
        variance = normal.batch_variance * (count - 1) / count
        _move(norm.moving_mean, normal.batch_mean, norm.momentum)
        _move(norm.moving_variance, variance, norm.momentum)
        return normal.y


class InInference(layers.Layer):
    """A layer without weights that never knows of a training.

    Args:
        layer: built `keras.layers.Layer`.
    """

    def __init__(self, layer):
        super().__init__(
            name=layer.name, trainable=False, dtype=layer.dtype_policy
        )
        self.layer = layer
        self.built = True

    def call(self, inputs, training=False, mask=None):
        del training, mask
        return self.layer(inputs, training=False)


def _move(average, value, momentum):
    average.assign(average * momentum + value * (1 - momentum))


def _is_fusible(layer):
    # A subclass may compute something else.
    return (
        type(layer) is layers.BatchNormalization
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not layer.synchronized
        and not layer.renorm
        and layer.activity_regularizer is None
    )


def _folded_pairs(view):
    """Returns the convolution before each normalisation, by its name."""
    tensors = list(traversal.tensors(view))
    read = collections.Counter(id(tensor) for tensor in view.outputs)
    for tensor in tensors:
        read.update(map(id, traversal.inputs(tensor)))
    calls = collections.Counter(_layer(tensor).name for tensor in tensors)
    pairs = {}
    for tensor in tensors:
        norm = _layer(tensor)
        if not _is_fusible(norm):
            continue
        (source,) = traversal.inputs(tensor)
        conv = _layer(source)
        once = calls[conv.name] == calls[norm.name] == read[id(source)] == 1
        if once and _is_foldable(conv):
            pairs[norm.name] = conv
    return pairs


def _layer(tensor):
    return tensor._keras_history.operation


def _is_foldable(layer):
    return (
        type(layer) is layers.Conv2D
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
    )
