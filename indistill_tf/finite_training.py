"""A mixin for models that are trained: loss scaling, and `FiniteCheck`."""

from typing import Any

import keras

from indistill_tf.finite import FiniteCheck


class FiniteTraining:
    """Mixin for a `keras.Model` whose training keeps its numbers finite.

    `compile` scales the loss where layers compute in float16, whose gradients
    would vanish; Keras alone asks the global policy. `fit` stops where a loss
    or a weight is not finite, see `FiniteCheck`.
    """

    def compile(
        self,
        optimizer: keras.Optimizer | str = "rmsprop",
        *args: Any,
        auto_scale_loss: bool = True,
        **kwargs: Any,
    ) -> None:
        """Configures training, as `keras.Model.compile` does.

        Args:
            optimizer: name or instance. Defaults to `"rmsprop"`.
            *args: see `keras.Model.compile`.
            auto_scale_loss: bool, whether the optimizer of a network with
                layers of mixed float16 becomes a `LossScaleOptimizer`.
                Defaults to True.
            **kwargs: see `keras.Model.compile`.
        """
        if auto_scale_loss:
            optimizer = loss_scaled(optimizer, self)
        super().compile(
            optimizer, *args, auto_scale_loss=auto_scale_loss, **kwargs
        )

    def compile_from_config(self, config: dict) -> None:
        """Compiles a model that is read from a file as it was.

        Keras leaves it out where `compile` is not its own.

        Args:
            config: dict, see `keras.Model.get_compile_config`.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self, *args: Any, callbacks: list | None = None, **kwargs: Any
    ) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit` does, while all numbers are finite.

        Args:
            *args: see `keras.Model.fit`.
            callbacks: list of callbacks. A `FiniteCheck` is added where none
                is given.
            **kwargs: see `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.

        Raises:
            UserError: if a loss or a weight is not finite.
        """
        callbacks = list(callbacks or [])
        if not any(isinstance(item, FiniteCheck) for item in callbacks):
            # First: what the others save is good.
            callbacks.insert(0, FiniteCheck())
        return super().fit(*args, callbacks=callbacks, **kwargs)


def loss_scaled(
    optimizer: keras.Optimizer | str, model: keras.Model
) -> keras.Optimizer:
    """Returns an optimizer that scales the loss where a network needs it.

    Args:
        optimizer: name or instance.
        model: built `keras.Model`, what it trains.

    Returns:
        A `LossScaleOptimizer` around it if a layer computes in float16 with
        weights of float32, else the optimizer.
    """
    optimizer = keras.optimizers.get(optimizer)
    scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scaling or not any(map(_is_mixed_float16, model._flatten_layers())):
        return optimizer
    # The name that Keras gives it: checkpoints stay what they are.
    return keras.optimizers.LossScaleOptimizer(
        optimizer, name="loss_scale_optimizer"
    )


def _is_mixed_float16(layer):
    return (layer.compute_dtype, layer.variable_dtype) == ("float16", "float32")
