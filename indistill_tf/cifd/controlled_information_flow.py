"""CIFD's loss of a student: a teacher and its rate-distortion modules guide it.

Modules stand for assistants between teacher and student: what they say of the
teacher's embedding is compared with the student as what the teacher says.
"""

from typing import Any

import keras
from keras import layers
from keras import ops

from indistill_tf.cifd import rdm_losses
from indistill_tf.cifd.frozen import frozen_modules
from indistill_tf.cifd.rdm import RateDistortionModules
from indistill_tf.errors import UserError
from indistill_tf.hints import Path
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.guide_weights import GuideWeights


@keras.saving.register_keras_serializable(package="indistill_tf")
class ControlledInformationFlow(DistillationLoss):
    """Logits and embeddings of a teacher and of frozen modules beside it.

    The sum over guides s, the teacher and M modules, of
    `w_s keep_s (kl_weight T**2 KL(s || student) + embedding_weight d(s, U))`,
    with w = 1 for the teacher, the student's embedding U behind a dense layer
    without bias where the widths differ, and in training `keep_s` = 0 with
    probability `dropout`, else 1, drawn for each batch and guide. Without
    modules there is no dropout, and what is left is distillation of logits and
    embedding. Cross-entropy is the supervised loss beside it, and the price
    of the student's noise belongs to `InformationBottleneck`.

    Args:
        modules: `RateDistortionModules` with classifiers, a `.keras` file of
            them, or `"none"`. They are copied, frozen. Defaults to `"none"`.
        temperature: float above 0, T. Defaults to 2.
        kl_weight: float. Defaults to 1.
        embedding_weight: float. Defaults to 100, as in the experiments.
        module_weight: float, w of each module. Defaults to 1.
        dropout: float from 0, below 1. Defaults to 0.25.
        distance: `"mse"` or `"smooth_l1"`, as the paper has it for ImageNet,
            of embeddings, each the mean over dimensions (the paper does not
            say). Defaults to `"mse"`.
        seed: int or None, of the dropout. Defaults to None: a random one.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: pair of embedding `[N, D]` and logits `[N, classes]`.
        student: the same, with its own width.
        training: bool, whether guides are cut. Defaults to True.

    Raises:
        UserError: if a weight is out of range, the file holds no modules, or
            they are of another teacher's shape.

    References:
        - CIFD, NeurIPS 2024, eq. 8 and 9
        - [Son et al., 2021](https://arxiv.org/abs/2009.08825): the dropout
    """

    endpoint = (("embedding", "logits"), ("embedding", "logits"))
    adapters = "dense layer where widths differ"
    needs_classes = True

    def __init__(
        self,
        modules: RateDistortionModules | Path = "none",
        temperature: float = 2.0,
        kl_weight: float = 1.0,
        embedding_weight: float = 100.0,
        module_weight: float = 1.0,
        dropout: float = 0.25,
        distance: str = "mse",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if temperature <= 0:
            raise UserError(
                "`temperature` must be above 0. "
                f"Received: temperature={temperature}"
            )
        rdm_losses.check_distortion(distance)
        self.modules = frozen_modules(modules)
        self.temperature = temperature
        self.kl_weight = kl_weight
        self.embedding_weight = embedding_weight
        self.module_weight = module_weight
        self.dropout = dropout
        self.distance = distance
        self.seed = seed
        # The attribute's name is part of checkpoints.
        self.source_weights = GuideWeights(
            module_weight, dropout, seed, dtype=self.dtype_policy
        )

    def build(self, teacher_shape: tuple, student_shape: tuple) -> None:
        (_, width), (_, classes) = teacher_shape
        self._check_modules(width, classes)
        self.projector = None
        if student_shape[0][-1] != width:
            self.projector = layers.Dense(
                width, use_bias=False, dtype=self.dtype_policy
            )
            self.projector.build(student_shape[0])

    def call(
        self,
        teacher: tuple[Tensor, Tensor],
        student: tuple[Tensor, Tensor],
        training: bool = True,
    ) -> Tensor:
        embedding, logits = (self._cast(item) for item in teacher)
        own_embedding, own_logits = (self._cast(item) for item in student)
        if self.projector is not None:
            own_embedding = self.projector(own_embedding)
        all_logits, all_embeddings = logits[None], embedding[None]
        if self.modules is not None:
            said = self.modules(embedding, training=False)
            all_logits = ops.concatenate([all_logits, said["logits"]])
            if self.modules.architecture.reconstruction:
                all_embeddings = ops.concatenate(
                    [all_embeddings, said["reconstruction"]]
                )
        divergence = rdm_losses.sample_kl(
            all_logits, own_logits, self.temperature
        )
        terms = self.kl_weight * ops.mean(divergence, axis=-1)
        guides = all_logits.shape[0]
        # Modules without a reconstruction say nothing of the embedding.
        silent = guides - all_embeddings.shape[0]
        distances = self._distances(all_embeddings, own_embedding)
        terms += self.embedding_weight * ops.pad(distances, [[0, silent]])
        return ops.sum(self.source_weights.draw(guides, training) * terms)

    def _cast(self, tensor):
        return ops.cast(tensor, self.compute_dtype)

    def _distances(self, embeddings, own_embedding):
        distances = rdm_losses.distortion(
            own_embedding, embeddings, self.distance, "mean"
        )
        return ops.mean(distances, axis=-1)

    def _check_modules(self, width, classes):
        modules = self.modules
        if modules is None:
            return
        if not modules.architecture.classifier:
            raise UserError(
                "CIFD compares the logits of its modules, but these have no "
                "classifier. Train modules with `num_classes`."
            )
        if (modules.embedding_width, modules.num_classes) != (width, classes):
            raise UserError(
                f"The modules were made for embeddings of width "
                f"{modules.embedding_width} and {modules.num_classes} classes, "
                f"the teacher has {width} and {classes}. Train modules on this "
                "teacher."
            )

    def get_config(self) -> dict:
        modules = self.modules
        return {
            **super().get_config(),
            "modules": modules and keras.saving.serialize_keras_object(modules),
            "temperature": self.temperature,
            "kl_weight": self.kl_weight,
            "embedding_weight": self.embedding_weight,
            "module_weight": self.module_weight,
            "dropout": self.dropout,
            "distance": self.distance,
            "seed": self.seed,
        }
