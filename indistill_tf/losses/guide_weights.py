"""Who guides a student in a step: a teacher, and others beside it."""

from typing import Any

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.seeded import SeededLayer


# Its former name, so that what was saved under it stays readable.
@keras.saving.register_keras_serializable(
    package="indistill_tf", name="SourceWeights"
)
class GuideWeights(SeededLayer):
    """The weight of each guide in one step, 0 where it is cut.

    Guides are the teacher and what teaches beside it.

    In training each guide is cut by itself with probability `dropout`, drawn
    for each batch. A teacher alone is never cut.

    Args:
        other_weight: float, of each guide but the teacher, whose weight is
            1. Defaults to 1.
        dropout: float from 0, below 1. Defaults to 0.25.
        seed: int or None. Defaults to None: a random one.
        **kwargs: `name` and `dtype` of the layer.

    Raises:
        UserError: if `dropout` is out of range.

    References:
        - [Son et al., 2021](https://arxiv.org/abs/2009.08825)
    """

    def __init__(
        self,
        other_weight: float = 1.0,
        dropout: float = 0.25,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        if not 0 <= dropout < 1:
            raise UserError(
                f"`dropout` must be in [0, 1). Received: dropout={dropout}"
            )
        self.other_weight = other_weight
        self.dropout = dropout
        self.built = True

    def draw(self, guides: int, training: bool) -> Tensor:
        """Returns the weights `[guides]` of one step, the teacher's first.

        Args:
            guides: int, with the teacher.
            training: bool, whether guides are cut.
        """
        weights = ops.convert_to_tensor(
            [1.0] + [self.other_weight] * (guides - 1), self.compute_dtype
        )
        if not training or guides == 1 or not self.dropout:
            return weights
        draw = keras.random.uniform((guides,), seed=self.seed_generator)
        return weights * ops.cast(draw >= self.dropout, self.compute_dtype)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "other_weight": self.other_weight,
            "dropout": self.dropout,
        }
