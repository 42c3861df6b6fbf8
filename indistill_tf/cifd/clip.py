"""What a pair of an image and a text student learns from in CIFD."""

from typing import Any

import keras
from keras import layers
from keras import ops

from indistill_tf import unit_length
from indistill_tf.cifd import rdm_losses
from indistill_tf.cifd.frozen import frozen_modules
from indistill_tf.cifd.rdm import RateDistortionModules
from indistill_tf.errors import UserError
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.guide_weights import GuideWeights


def contrastive_loss(
    image: Tensor, text: Tensor, temperature: float | Tensor
) -> Tensor:
    """Cross-entropy of finding each image's text, and each text's image.

    With u and v of unit length, both ways added, as the paper has it (CLIP
    takes their mean): `-mean_b log softmax_k(u_b v_k / t)[b]` plus the same
    with u and v exchanged.

    Args:
        image: `[N, D]`, embeddings behind the student's noise.
        text: `[N, D]`, row by row of the same pairs.
        temperature: float or scalar tensor above 0, t.

    Returns:
        Scalar, in nats.

    References:
        - CIFD, NeurIPS 2024, eq. 10 and 11
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), fig. 3
    """
    similarity = ops.matmul(
        unit_length.of_tensor(image),
        ops.transpose(unit_length.of_tensor(text)),
    )
    logits = similarity / temperature
    own = ops.diagonal(logits)
    to_text = ops.logsumexp(logits, axis=1) - own
    to_image = ops.logsumexp(logits, axis=0) - own
    return ops.mean(to_text) + ops.mean(to_image)


@keras.saving.register_keras_serializable(package="indistill_tf")
class EmbeddingMatching(DistillationLoss):
    """Distance to a teacher's embedding and to what its modules make of it.

    The mean over samples of `d(U, X) + module_weight sum_n d(U, Xh_n)`, each
    term cut now and then, see `GuideWeights`. One for each modality; the
    price of the student's noise belongs to `InformationBottleneck`.

    Args:
        modules: see `frozen_modules`. Modules need a reconstruction. Defaults
            to None.
        module_weight: float, of each module. Defaults to 1.
        dropout: float from 0, below 1. Defaults to 0.25.
        normalized: bool, whether teacher's and student's embeddings are
            brought to unit length first. Modules must have been trained on
            embeddings of unit length then. The paper does not say. Defaults to
            True.
        distance: `"mse"` or `"smooth_l1"`. Defaults to `"mse"`.
        reduction: `"sum"` or `"mean"` over dimensions. Eq. 12 is printed as a
            sum; the weight of the contrastive loss beside it, 0.005, hints at
            a mean. Defaults to `"mean"`.
        seed: int or None, of the dropout. Defaults to None: a random one.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: `[N, D]`.
        student: `[N, D]`.
        training: bool, whether terms are cut. Defaults to True.

    Raises:
        UserError: if a name is unknown, or widths do not fit.

    References:
        - CIFD, NeurIPS 2024, eq. 12
    """

    endpoint = "embedding"

    def __init__(
        self,
        modules: RateDistortionModules | Path | None = None,
        module_weight: float = 1.0,
        dropout: float = 0.25,
        normalized: bool = True,
        distance: str = "mse",
        reduction: str = "mean",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        rdm_losses.check_distortion(distance)
        rdm_losses.check_reduction(reduction)
        self.modules = frozen_modules(modules)
        if self.modules and not self.modules.architecture.reconstruction:
            raise UserError(
                "The embeddings of a pair are compared with reconstructions, "
                "but these modules have none. Train modules with "
                '`architecture="clip"`.'
            )
        self.module_weight, self.dropout = module_weight, dropout
        self.normalized = normalized
        self.distance, self.reduction = distance, reduction
        self.seed = seed
        # The attribute's name is part of checkpoints.
        self.source_weights = GuideWeights(
            module_weight, dropout, seed, dtype=self.dtype_policy
        )
        self.built = True

    def call(
        self, teacher: Tensor, student: Tensor, training: bool = True
    ) -> Tensor:
        self._check_widths(teacher.shape[-1], student.shape[-1])
        if self.normalized:
            teacher = unit_length.of_tensor(teacher)
            student = unit_length.of_tensor(student)
        teacher = ops.cast(teacher, self.compute_dtype)
        guides = teacher[None]
        if self.modules:
            said = self.modules(teacher, training=False)["reconstruction"]
            guides = ops.concatenate([guides, said])
        distances = rdm_losses.distortion(
            ops.cast(student, self.compute_dtype),
            guides,
            self.distance,
            self.reduction,
        )
        weights = self.source_weights.draw(guides.shape[0], training)
        return ops.sum(weights * ops.mean(distances, axis=-1))

    def _check_widths(self, teacher, student):
        modules = self.modules and self.modules.embedding_width
        if teacher != student or modules not in (None, teacher):
            raise UserError(
                "Teacher, student and modules need embeddings of one width. "
                f"Received: {teacher}, {student} and {modules}. Give the "
                "student's towers the teacher's width, and train modules on "
                "this teacher."
            )

    def get_config(self) -> dict:
        modules = self.modules
        return {
            **super().get_config(),
            "modules": modules and keras.saving.serialize_keras_object(modules),
            "module_weight": self.module_weight,
            "dropout": self.dropout,
            "normalized": self.normalized,
            "distance": self.distance,
            "reduction": self.reduction,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="indistill_tf")
class Temperature(layers.Layer):
    """CLIP's learned temperature t, of which `log(1 / t)` is trained.

    `1 / t` is kept between 1 and `largest`.

    Args:
        start: float, t at first. Defaults to 0.07.
        largest: float, the most that `1 / t` may be. Defaults to 100.
        dtype: of the scalar. Defaults to `"float32"`.
        **kwargs: `name` of the layer.

    References:
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), sec. 2.5
    """

    def __init__(
        self,
        start: float = 0.07,
        largest: float = 100.0,
        dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.start, self.largest = start, largest
        # open_clip's name, under which a whole CLIP keeps it.
        self.logit_scale = self.add_weight(
            (),
            lambda shape, dtype: -ops.log(ops.full(shape, start, dtype)),
            constraint=self._clip,
            name="logit_scale",
        )
        self.built = True

    def _clip(self, value):
        return ops.clip(value, 0.0, ops.log(self.largest))

    def value(self) -> Tensor:
        """Returns the scalar t."""
        return ops.exp(-self.logit_scale)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "start": self.start,
            "largest": self.largest,
        }
