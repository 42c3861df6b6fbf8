"""Recipes: how long and how fast a network is trained."""

import dataclasses

import keras

from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Adam with a learning rate that drops at given epochs.

    The defaults are InDistill's for CIFAR-10, CUB-200 and Fashion-MNIST: 60
    epochs at 1e-3, 10 at 1e-4, batches of 128 (sec. 4.4).

    Attributes:
        epochs: int.
        learning_rate: float.
        drop_epochs: ascending ints, the epochs, counted from 0, at whose
            start the rate is multiplied by `drop_factor`.
        drop_factor: float.
        batch_size: int, images in a batch over all replicas.
        padding: int, pixels of the random crop.
        flip: bool, whether images are mirrored at random.

    Raises:
        UserError: if a number is out of range.
    """

    epochs: int = 70
    learning_rate: float = 1e-3
    drop_epochs: tuple = (60,)
    drop_factor: float = 0.1
    batch_size: int = 128
    padding: int = 4
    flip: bool = True

    def __post_init__(self):
        for name in ("epochs", "learning_rate", "batch_size"):
            if not getattr(self, name) > 0:
                raise UserError(
                    f"`{name}` must be above 0. Received: "
                    f"{getattr(self, name)}"
                )

    def optimizer(self, steps_per_epoch):
        """Returns a new optimizer.

        The rate depends on the optimizer's own step count, so it is right
        after a resumption.

        Args:
            steps_per_epoch: int.
        """
        drops = [epoch for epoch in self.drop_epochs if epoch < self.epochs]
        rate = self.learning_rate
        if drops:
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(
                # A boundary belongs to the rate before it.
                [epoch * steps_per_epoch - 1 for epoch in drops],
                [rate * self.drop_factor**i for i in range(len(drops) + 1)],
            )
        return keras.optimizers.Adam(rate)

    def scaled(self, epochs):
        """Returns the recipe stretched to another number of epochs.

        Args:
            epochs: int, or None for no change.
        """
        if epochs is None:
            return self
        factor = epochs / self.epochs
        drops = tuple(round(epoch * factor) for epoch in self.drop_epochs)
        return dataclasses.replace(self, epochs=epochs, drop_epochs=drops)
