"""Who teaches in a step: a teacher, and assistants or modules beside it."""

import keras
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.seeded import SeededLayer


@keras.saving.register_keras_serializable(package="indistill_tf")
class SourceWeights(SeededLayer):
    """The weight of each source in one step, 0 where it is cut.

    In training each source is cut by itself with probability `dropout`, drawn
    for each batch. A teacher alone is never cut.

    Args:
        other_weight: float, of each source but the teacher, whose weight is
            1. Defaults to 1.
        dropout: float from 0, below 1. Defaults to 0.25.
        seed: int or None. Defaults to None: a random one.
        **kwargs: `name` and `dtype` of the layer.

    Raises:
        UserError: if `dropout` is out of range.

    References:
        - [Son et al., 2021](https://arxiv.org/abs/2009.08825)
    """

    def __init__(self, other_weight=1.0, dropout=0.25, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        if not 0 <= dropout < 1:
            raise UserError(
                f"`dropout` must be in [0, 1). Received: dropout={dropout}"
            )
        self.other_weight = other_weight
        self.dropout = dropout
        self.built = True

    def draw(self, sources, training):
        """Returns the weights `[sources]` of one step, the teacher's first.

        Args:
            sources: int, with the teacher.
            training: bool, whether sources are cut.
        """
        weights = ops.convert_to_tensor(
            [1.0] + [self.other_weight] * (sources - 1), self.compute_dtype
        )
        if not training or sources == 1 or not self.dropout:
            return weights
        draw = keras.random.uniform((sources,), seed=self.seed_generator)
        return weights * ops.cast(draw >= self.dropout, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "other_weight": self.other_weight,
            "dropout": self.dropout,
        }
