"""A network whose training from labels takes the fused step."""

import keras

from indistill_tf.distillation.fused import fused
from indistill_tf.distillation.networks import opened
from indistill_tf.distribution import AnyStrategy
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor


class FusedNetwork(AnyStrategy, keras.Model):
    """Trains a network from labels by a step of fewer passes over memory.

    It is the network in all but the time of a step, see
    `indistill_tf.distillation.fused`: the variables are the network's, and so
    are the files that `save_weights` and `load_weights` know. Values differ
    from those of the network's own `fit` by rounding.

    Args:
        network: functional or built `Sequential` `keras.Model`.

    Attributes:
        network: the product.
    """

    def __init__(self, network: keras.Model):
        super().__init__(name=network.name)
        self.network = network
        self._fused = fused(opened(network, maps=False), training=True)
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Returns the network's output.

        Args:
            inputs: images `[N, H, W, C]`.
            training: bool. Defaults to False.
        """
        network = self._fused if training else self.network
        return network(inputs, training=training)

    def compile(self, optimizer: keras.Optimizer, **kwargs) -> None:
        """Configures the training of the network, and the network.

        Args:
            optimizer: `keras.Optimizer`.
            **kwargs: see `keras.Model.compile`.
        """
        # Checkpoints hold the network's optimizer.
        self.network.compile(optimizer, **kwargs)
        super().compile(optimizer, **kwargs)

    def build_metrics(self, labels: Tensor) -> None:
        """Creates the metrics of `compile`, which the first step would do.

        Args:
            labels: tensor, of a batch.
        """
        self._compile_metrics.build(labels, self.network.outputs[0])

    def save_weights(self, filepath: Path, *args, **kwargs) -> None:
        """Saves the network's weights and optimizer.

        Args:
            filepath: the file, `.weights.h5`.
            *args: see `keras.Model.save_weights`.
            **kwargs: see `keras.Model.save_weights`.
        """
        self.network.save_weights(filepath, *args, **kwargs)

    def load_weights(self, filepath: Path, *args, **kwargs) -> None:
        """Loads the network's weights and optimizer.

        Args:
            filepath: what `save_weights` wrote, of this or of the network.
            *args: see `keras.Model.load_weights`.
            **kwargs: see `keras.Model.load_weights`.
        """
        self.network.load_weights(filepath, *args, **kwargs)
