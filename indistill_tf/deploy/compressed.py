"""Networks that are trained under what compression does to their kernels.

Such a network is a clone whose layers with kernels are of other classes and
have the same names, shapes and weights. So any method trains it, at the same
taps, and `strip` leads back to a plain network.
"""

import logging
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.graph import endpoints
from indistill_tf.hints import Tensor

logger = logging.getLogger("indistill_tf")


class CompressedKernel:
    """Mixin for a layer whose kernel is compressed in training.

    The plain layer's class comes last among the bases.
    """

    def compressed_kernel(self) -> Tensor:
        """Returns the kernel that the plain layer is to have."""
        return self.kernel

    def stripped(self) -> layers.Layer:
        """Returns the plain layer, which is not built yet."""
        plain = type(self).__bases__[-1]
        return plain.from_config(plain.get_config(self))


class ProjectedKernel(CompressedKernel):
    """Mixin for a layer whose kernel is projected after every step.

    `choice`, of the kernel's shape, says onto what, and is saved with the
    weights. A constraint of the plain layer's own comes before.
    """

    choice_initializer = "zeros"
    choice_dtype = "float32"

    def build(self, shape: tuple) -> None:
        super().build(shape)
        self.choice = self.add_weight(
            shape=self.kernel.shape,
            initializer=self.choice_initializer,
            dtype=self.choice_dtype,
            trainable=False,
            autocast=False,
            name="choice",
        )
        constraint = self.kernel.constraint or (lambda kernel: kernel)
        self.kernel.constraint = lambda kernel: self.project(constraint(kernel))

    def project(self, kernel: Tensor) -> Tensor:
        """Returns the kernel as it may be.

        Args:
            kernel: tensor, what a step of the optimizer made of it.
        """
        raise NotImplementedError

    # Keras' layers with kernels save what they know, and no more.

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["choice"] = self.choice

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self.choice.assign(store["choice"])


class Passing(layers.Layer):
    """Base of the layers that `strip` leaves out: tensors keep their shapes."""

    def compute_output_shape(self, shape: tuple) -> tuple:
        return tuple(shape)


def compressed(
    model: keras.Model,
    kinds: dict[type, type],
    after: Callable[[layers.Layer], layers.Layer | None] = lambda _: None,
    options: Callable[[layers.Layer], dict] = lambda _: {},
) -> keras.Model:
    """Returns a clone whose kernels are compressed in training.

    A warning names the layers that have kernels and stay as they are.

    Args:
        model: functional or built `Sequential` `keras.Model`.
        kinds: dict from a plain layer's class to a `CompressedKernel`.
        after: function from a layer of the clone to a `Passing` layer that
            reads its output, or None for no such layer. Defaults to none.
        options: function from a layer of the model to further arguments of the
            one in its place. Defaults to none.

    Returns:
        Functional `keras.Model` with weights of its own.

    Raises:
        UserError: if no layer can be compressed, or one cannot be cloned.
    """
    model = functional(model)
    _check(model, kinds)

    def clone(layer):
        if type(layer) not in kinds:
            return _copied(layer)
        config = {**layer.get_config(), **options(layer)}
        return kinds[type(layer)].from_config(config)

    def call(layer, *args, **kwargs):
        output = layer(*args, **kwargs)
        passing = after(layer)
        return output if passing is None else passing(output)

    return _cloned(model, clone, call)


def strip(model: keras.Model) -> keras.Model:
    """Returns the plain network of one that was trained compressed.

    Its kernels are what compression made of them: rounded, sparse, clustered.

    Args:
        model: `keras.Model` that `quantized`, `sparse` or `clustered` returned.

    Returns:
        Functional `keras.Model` of Keras' own layers, with weights of its own.
    """

    def clone(layer):
        if isinstance(layer, CompressedKernel):
            return layer.stripped()
        return _copied(layer)

    def call(layer, *args, **kwargs):
        if isinstance(layer, Passing):
            return args[0]
        return layer(*args, **kwargs)

    plain = _cloned(model, clone, call)
    for layer in model.layers:
        if isinstance(layer, CompressedKernel):
            plain.get_layer(layer.name).kernel.assign(layer.compressed_kernel())
    return plain


def functional(model: keras.Model) -> keras.Model:
    """Returns a model without models inside, and no `Sequential`.

    Args:
        model: functional or built `Sequential` `keras.Model`.

    Returns:
        Functional `keras.Model` over the same layers.
    """
    model = endpoints.flattened(model)
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return model


def _check(model, kinds):
    kernels = {
        layer.name: type(layer).__name__
        for layer in model.layers
        if any(len(weight.shape) > 1 for weight in layer.trainable_weights)
        and type(layer) not in kinds
    }
    known = ", ".join(kind.__name__ for kind in kinds)
    names = ", ".join(f"{name!r} ({kind})" for name, kind in kernels.items())
    if not any(type(layer) in kinds for layer in model.layers):
        raise UserError(
            f"Model {model.name!r} has no layer to compress. Received: "
            f"{names or 'no kernels'}; expected {known}. Build it of these."
        )
    if names:
        logger.warning(
            "Kernels of %s stay as they are: only those of %s are compressed.",
            *(names, known),
        )


def _copied(layer):
    try:
        return type(layer).from_config(layer.get_config())
    except (NotImplementedError, TypeError) as error:
        raise UserError(
            f"Layer {layer.name!r} ({type(layer).__name__}) cannot be cloned: "
            f"{first_line(error)} Give its class a `get_config` of all its "
            "arguments."
        ) from error


def _cloned(model, clone, call):
    """Returns a clone with the weights that both have."""
    made = keras.models.clone_model(
        model, clone_function=clone, call_function=call
    )
    layers_made = {layer.name: layer for layer in made.layers}
    for layer in model.layers:
        new_layer = layers_made.get(layer.name)
        # What one of the two has beside the plain layer's weights comes last.
        for old, new in zip(layer.weights, getattr(new_layer, "weights", ())):
            new.assign(old)
    return made
