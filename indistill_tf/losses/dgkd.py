"""Dense guidance: a teacher and its assistants teach together.

Reference:
    - [Son et al., 2021](https://arxiv.org/abs/2009.08825)
"""

from typing import Any

import keras
from keras import ops

from indistill_tf.hints import Tensor
from indistill_tf.losses.base import SigmoidOrSoftmax
from indistill_tf.losses.guide_weights import GuideWeights
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.numerics import sigmoid_divergence
from indistill_tf.losses.numerics import softmax_divergence


@keras.saving.register_keras_serializable(package="indistill_tf")
class DenselyGuided(SigmoidOrSoftmax):
    """Softened logits of a teacher and of all assistants, cut now and then.

    The mean over the S networks of `keep_s T**2 KL(s || student)`; in training
    `keep_s` = 0 with probability `dropout`, else 1, drawn for each batch and
    network. A teacher without assistants is never cut: what is left is
    `SoftenedKL`. The paper has a sum over networks, each with a cross-entropy
    of its own; this is that sum divided by S, so that one weight of the
    cross-entropy suits any S.

    Args:
        temperature: float above 0. Defaults to 4.
        dropout: float from 0, below 1. Defaults to 0.25.
        seed: int or None, of the dropout. Defaults to None: a random one.
        sigmoid: bool, see `softened_kl`. A `Distiller` chooses it by what the
            networks end in. Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: `[N, S, classes]`, see `indistill_tf.with_assistants`, or
            `[N, classes]` of a teacher alone.
        student: `[N, classes]`.
        training: bool, whether networks are cut. Defaults to True.

    Raises:
        UserError: if `temperature` or `dropout` is out of range.

    References:
        - [Son et al., 2021](https://arxiv.org/abs/2009.08825), eq. 7 and the
          dropout of sec. 3.3
    """

    endpoint = ("guides", "logits")

    def __init__(
        self,
        temperature: float = 4.0,
        dropout: float = 0.25,
        seed: int | None = None,
        sigmoid: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, sigmoid, **kwargs)
        self.dropout = dropout
        self.seed = seed
        # The attribute's name is part of checkpoints.
        self.source_weights = GuideWeights(dropout=dropout, seed=seed)

    def call(
        self, teacher: Tensor, student: Tensor, training: bool = True
    ) -> Tensor:
        teacher, student = at_least_float32(teacher, student)
        if len(teacher.shape) == 2:
            teacher = teacher[:, None]
        divergence = sigmoid_divergence if self.sigmoid else softmax_divergence
        divergence = divergence(
            teacher / self.temperature, student[:, None] / self.temperature
        )
        networks = self.temperature**2 * ops.mean(divergence, axis=0)
        weights = self.source_weights.draw(networks.shape[0], training)
        return ops.mean(weights * networks)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "dropout": self.dropout,
            "seed": self.seed,
        }
