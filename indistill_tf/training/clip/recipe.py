"""How long and how fast a pair of towers is trained."""

import dataclasses

import keras

from indistill_tf.errors import UserError
from indistill_tf.options import option


@dataclasses.dataclass(frozen=True)
class PairRecipe:
    """AdamW with a linear warm-up and a cosine down to zero.

    The defaults are the paper's: what it does not say is open_clip's, which it
    names. Norms, biases and the temperature do not decay.

    Attributes:
        epochs: int.
        learning_rate: float, at the end of the warm-up.
        warm_up: float, the warm-up's part of all steps.
        batch_size: int, pairs that are told from each other.
        weight_decay: float.
        beta_2: float, AdamW's.
        epsilon: float, AdamW's.
        padding: int, pixels of the random crop.
        flip: bool, whether images are mirrored at random. Captions may say
            which side something is on.

    Raises:
        UserError: if a number is out of range.

    References:
        - CIFD, NeurIPS 2024, sec. 5 and appendix
        - [open_clip](https://github.com/mlfoundations/open_clip)
    """

    epochs: int = option(32, "of the students")
    learning_rate: float = option(1e-3, "after the warm-up")
    warm_up: float = option(1 / 6, "its part of all steps")
    batch_size: int = option(1024, "pairs a step")
    weight_decay: float = option(0.2, "of AdamW")
    beta_2: float = 0.98
    epsilon: float = 1e-6
    padding: int = option(0, "pixels of the random crop", at_least=0)
    flip: bool = option(False, "mirror images at random")

    def __post_init__(self):
        for name in ("epochs", "learning_rate"):
            if not getattr(self, name) > 0:
                raise UserError(
                    f"`{name}` must be above 0. Received: {getattr(self, name)}"
                )
        if self.batch_size < 2:
            raise UserError(
                "A batch needs two pairs or more, to be told from each other. "
                f"Received: batch_size={self.batch_size}"
            )
        if not 0 <= self.warm_up < 1 or self.weight_decay < 0:
            raise UserError(
                "The warm-up is a part of training from 0, below 1, and "
                "`weight_decay` at least 0. Received: "
                f"warm_up={self.warm_up}, weight_decay={self.weight_decay}"
            )

    def optimizer(
        self, steps: int, variables: list[keras.Variable]
    ) -> keras.Optimizer:
        """Returns a new optimizer.

        Args:
            steps: int, batches in an epoch.
            variables: what it will train.
        """
        total = steps * self.epochs
        first = round(self.warm_up * total)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if first else self.learning_rate,
            decay_steps=total - first,
            warmup_target=self.learning_rate if first else None,
            warmup_steps=first,
        )
        optimizer = keras.optimizers.AdamW(
            rate,
            weight_decay=self.weight_decay,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )
        optimizer.exclude_from_weight_decay(
            [variable for variable in variables if _is_fixed(variable)]
        )
        return optimizer


def _is_fixed(variable):
    # Also the biases of attention's heads, which are matrices; and whatever a
    # learned density consists of.
    path = variable.path.split("/")
    return (
        len(variable.shape) < 2
        or path[-1] in ("bias", "beta", "gamma")
        or any("density" in part for part in path)
    )
