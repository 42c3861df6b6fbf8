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
        restart_optimizer: when a distillation starts a fresh optimizer, see
            `indistill_tf.CurriculumCallback`.

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
    restart_optimizer: str = "stage"

    def __post_init__(self):
        for name in ("epochs", "learning_rate", "batch_size"):
            if not getattr(self, name) > 0:
                raise UserError(
                    f"`{name}` must be above 0. Received: {getattr(self, name)}"
                )

    def optimizer(self):
        """Returns a new optimizer."""
        return keras.optimizers.Adam(self.learning_rate)

    def rate(self, epoch):
        """Returns the learning rate of an epoch.

        Args:
            epoch: int, counted from 0.
        """
        drops = sum(epoch >= drop for drop in self.drop_epochs)
        return self.learning_rate * self.drop_factor**drops

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
