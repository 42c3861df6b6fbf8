"""Recipes: how long and how fast a network is trained."""

import dataclasses

import keras
import tensorflow as tf

from indistill_tf.distribution import replicas
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.graph.heads import Head
from indistill_tf.losses import crossentropy
from indistill_tf.options import option
from indistill_tf.training import reference_sgd

OPTIMIZERS = ("adam", "sgd")
_OF_SGD = ("momentum", "nesterov", "weight_decay")

_PIXELS_AN_EXECUTION = 2**22
_MOST_STEPS = 32


@dataclasses.dataclass(frozen=True)
class Recipe:
    """An optimizer, and a learning rate that drops or falls linearly.

    The defaults are InDistill's for CIFAR-10, CUB-200 and Fashion-MNIST: Adam,
    60 epochs at 1e-3, 10 at 1e-4, batches of 128 (sec. 4.4).

    Attributes:
        epochs: int.
        learning_rate: float.
        scale_learning_rate: whether `learning_rate` is that of one replica's
            part of a batch, and so multiplied by the number of replicas.
        drop_epochs: ascending ints, the epochs, counted from 0, at whose
            start the rate is multiplied by `drop_factor`.
        drop_factor: float.
        ramp_epochs: int from 0, in place of drops: through so many epochs the
            rate rises linearly to `learning_rate`, through the others it falls
            to zero. Each epoch has the rate of its middle. None: no ramp.
        batch_size: int, images in a batch over all replicas.
        padding: int, pixels of the random crop.
        flip: bool, whether images are mirrored at random.
        restart_optimizer: when a distillation starts a fresh optimizer, see
            `indistill_tf.CurriculumCallback`.
        optimizer_name: `"adam"`, Keras' with its defaults, or `"sgd"`,
            `ReferenceSGD`.
        momentum: float from 0 to 1, of `"sgd"`.
        nesterov: bool, of `"sgd"`.
        weight_decay: float, of `"sgd"`: the factor of the weights in their
            gradient.
        label_smoothing: float from 0 to below 1, see
            `indistill_tf.losses.SmoothedCrossentropy`, of the loss against the
            labels.
        gradient_accumulation: int, batches an update averages the gradients
            of. Batch normalisation sees one batch at a time. What an epoch
            leaves over counts in the next one's first update, unless the
            optimizer restarts in between.
        max_steps: int, the batches after which training stops, to try a recipe
            out: whole epochs up to there, or that many batches of the first
            one. No schedule is shortened. None trains to the end.

    Raises:
        UserError: if a number is out of range or a name is unknown.
    """

    epochs: int = option(70, "of training", at_most=1_000_000)
    learning_rate: float = option(1e-3, "before the first drop")
    drop_epochs: tuple[int, ...] = option((60,), "where the rate drops to 1/10")
    drop_factor: float = 0.1
    ramp_epochs: int | None = option(
        None, "up linearly, then down, in place of drops", at_least=0
    )
    batch_size: int = option(128, "images a step, all replicas")
    padding: int = option(4, "pixels of the random crop", at_least=0)
    flip: bool = option(True, "mirror images at random")
    scale_learning_rate: bool = option(
        False, "multiply it by the number of replicas", rare=True
    )
    restart_optimizer: str = "stage"
    optimizer_name: str = option(
        "adam", "of all hops", choices=["adam", "sgd"], flag="optimizer"
    )
    momentum: float = option(0.9, "of sgd", rare=True)
    nesterov: bool = option(False, "momentum of sgd looks ahead", rare=True)
    weight_decay: float = option(0.0, "of sgd, part of the gradient", rare=True)
    label_smoothing: float = option(
        0.0, "part of a label for all classes", at_least=0.0, rare=True
    )
    gradient_accumulation: int = option(
        1, "steps an update", at_least=1, rare=True
    )
    max_steps: int | None = option(
        None, "stop there, to try it out", at_least=1
    )

    def __post_init__(self):
        for name in (
            "epochs",
            "learning_rate",
            "batch_size",
            "gradient_accumulation",
        ):
            if not getattr(self, name) > 0:
                raise UserError(
                    f"`{name}` must be above 0. Received: {getattr(self, name)}"
                )
        if self.max_steps is not None and self.max_steps < 1:
            raise UserError(
                "`max_steps` must be above 0, or None to train to the end. "
                f"Received: {self.max_steps}"
            )
        if self.optimizer_name not in OPTIMIZERS:
            raise unknown_name("optimizer", self.optimizer_name, OPTIMIZERS)
        if self.optimizer_name == "adam":
            self._check_adam()
        self._check_ramp()
        self.supervised_loss()
        reference_sgd.check(self.momentum, self.nesterov, self.weight_decay)

    def optimizer(self) -> keras.Optimizer:
        """Returns a new optimizer.

        Raises:
            UserError: if gradients are to be accumulated under a strategy of
                replicas.
        """
        accumulation = self._accumulation_steps()
        if self.optimizer_name == "adam":
            return keras.optimizers.Adam(
                self._highest_rate(), gradient_accumulation_steps=accumulation
            )
        return reference_sgd.ReferenceSGD(
            self._highest_rate(),
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            gradient_accumulation_steps=accumulation,
        )

    def supervised_loss(self, head: Head | None = None) -> keras.losses.Loss:
        """Returns the loss of a network's output against the labels.

        Args:
            head: what the output is. Defaults to None: logits of classes.

        Raises:
            UserError: if `label_smoothing` is out of range.
        """
        return crossentropy(head, self.label_smoothing)

    def rate(self, epoch: int) -> float:
        """Returns the learning rate of an epoch.

        Args:
            epoch: int, counted from 0.
        """
        if self.ramp_epochs is not None:
            middle, ramp = epoch + 0.5, self.ramp_epochs
            falling = (self.epochs - middle) / (self.epochs - ramp)
            rising = middle / ramp if ramp else falling
            return self._highest_rate() * min(rising, falling)
        drops = sum(epoch >= drop for drop in self.drop_epochs)
        return self._highest_rate() * self.drop_factor**drops

    def extent(self, steps: int) -> tuple[int, int]:
        """Returns how long training goes on.

        Args:
            steps: int, the batches in an epoch.

        Returns:
            Tuple of the number of epochs and of the batches in each.
        """
        if self.max_steps is None:
            return self.epochs, steps
        steps = min(steps, self.max_steps)
        return min(self.epochs, self.max_steps // steps), steps

    def steps_per_execution(
        self,
        steps: int,
        image_shape: tuple[int, int, int],
        most: int | None = None,
    ) -> int:
        """Returns how many steps one call of the compiled function runs.

        Between calls the interpreter works and the processor waits, which
        counts where steps are short. So a call reads up to four million
        pixels, in 32 steps at most.

        Args:
            steps: int, the batches in an epoch. What is returned divides it:
                otherwise an epoch would end within the next one.
            image_shape: tuple `(H, W, C)`.
            most: int, the steps that one call may run. Defaults to None: 32.
        """
        pixels = self.batch_size * image_shape[0] * image_shape[1]
        most = min(_PIXELS_AN_EXECUTION // pixels, most or _MOST_STEPS)
        return max(
            count for count in range(1, max(most, 1) + 1) if steps % count == 0
        )

    def scaled(self, epochs: int) -> "Recipe":
        """Returns the recipe stretched to another number of epochs.

        Args:
            epochs: int, or None for no change.
        """
        if epochs is None:
            return self
        factor = epochs / self.epochs
        drops = tuple(round(epoch * factor) for epoch in self.drop_epochs)
        ramp = self.ramp_epochs and round(self.ramp_epochs * factor)
        return dataclasses.replace(
            self, epochs=epochs, drop_epochs=drops, ramp_epochs=ramp
        )

    def _highest_rate(self):
        factor = replicas() if self.scale_learning_rate else 1
        return self.learning_rate * factor

    def _check_ramp(self):
        if self.ramp_epochs is None:
            return
        if self.drop_epochs:
            raise UserError(
                "A learning rate has a ramp or drops. Received: ramp_epochs="
                f"{self.ramp_epochs} and drop_epochs={self.drop_epochs}. Give "
                "none (`drop_epochs=`)."
            )
        if not 0 <= self.ramp_epochs < self.epochs:
            raise UserError(
                "`ramp_epochs` must be from 0 to below `epochs`. Received: "
                f"{self.ramp_epochs} of {self.epochs}"
            )

    def _check_adam(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in _OF_SGD and value != field.default:
                raise UserError(
                    f"`{field.name}` belongs to the optimizer 'sgd'. Received: "
                    f"{field.name}={value} for 'adam'"
                )

    def _accumulation_steps(self):
        steps = self.gradient_accumulation
        if steps == 1:
            return None
        strategy = tf.distribute.get_strategy()
        # Keras decides in each replica whether a step updates, where a
        # MirroredStrategy, even of one replica, cannot bring them together.
        if (
            isinstance(strategy, tf.distribute.MirroredStrategy)
            or strategy.num_replicas_in_sync > 1
        ):
            raise UserError(
                "`gradient_accumulation` above 1 needs the default strategy. "
                f"Received: {steps} under {type(strategy).__name__}; "
                "accumulate on one device, or use a batch_size of "
                f"{self.batch_size * steps} over the replicas."
            )
        return steps
