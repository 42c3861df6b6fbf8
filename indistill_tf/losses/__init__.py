"""One paper, one file: the equation as a function, and the layer around it."""

from indistill_tf.losses.against_labels import SigmoidCrossentropy
from indistill_tf.losses.against_labels import accuracy
from indistill_tf.losses.against_labels import crossentropy
from indistill_tf.losses.at import AttentionTransfer
from indistill_tf.losses.at import attention_transfer
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.base import Setting
from indistill_tf.losses.crd import ContrastiveRepresentation
from indistill_tf.losses.crd import contrast_scores
from indistill_tf.losses.crd import contrastive_nce
from indistill_tf.losses.dgkd import DenselyGuided
from indistill_tf.losses.dist import Pearson
from indistill_tf.losses.dist import pearson_inter
from indistill_tf.losses.dist import pearson_intra
from indistill_tf.losses.dkd import DecoupledKL
from indistill_tf.losses.dkd import decoupled_kl
from indistill_tf.losses.factor_transfer import FactorTransfer
from indistill_tf.losses.factor_transfer import factor_distance
from indistill_tf.losses.for_keras_distiller import ForKerasDistiller
from indistill_tf.losses.fsp import FlowOfSolution
from indistill_tf.losses.fsp import flow_matrix
from indistill_tf.losses.fsp import flow_of_solution
from indistill_tf.losses.hints import Hints
from indistill_tf.losses.hsakd import HierarchicalSelfSupervision
from indistill_tf.losses.hsakd import joint_labels
from indistill_tf.losses.hsakd import rotations
from indistill_tf.losses.indistill import FeatureMSE
from indistill_tf.losses.indistill import feature_mse
from indistill_tf.losses.keras_distillation import KerasDistillation
from indistill_tf.losses.keras_loss import KerasLoss
from indistill_tf.losses.keras_loss import as_distillation_loss
from indistill_tf.losses.label_smoothing import SmoothedCrossentropy
from indistill_tf.losses.mkt import MetricAbsolute
from indistill_tf.losses.mkt import MetricRelative
from indistill_tf.losses.mkt import metric_absolute
from indistill_tf.losses.mkt import metric_relative
from indistill_tf.losses.normkd import NormalizedKL
from indistill_tf.losses.normkd import normalized_kl
from indistill_tf.losses.okd import SoftenedKL
from indistill_tf.losses.okd import softened_kl
from indistill_tf.losses.pkt import ProbabilisticJeffreys
from indistill_tf.losses.pkt import ProbabilisticKL
from indistill_tf.losses.pkt import probabilistic_jeffreys
from indistill_tf.losses.pkt import probabilistic_kl
from indistill_tf.losses.similarity_kl import SimilarityKL
from indistill_tf.losses.similarity_kl import SimilarityWithClasses
from indistill_tf.losses.similarity_kl import similarity_kl
from indistill_tf.losses.srrl import SoftmaxRegression
from indistill_tf.losses.srrl import head_mse
from indistill_tf.losses.srrl import pooled_feature_mse

__all__ = [
    "AttentionTransfer",
    "ContrastiveRepresentation",
    "DecoupledKL",
    "DenselyGuided",
    "DistillationLoss",
    "FactorTransfer",
    "FeatureMSE",
    "FlowOfSolution",
    "ForKerasDistiller",
    "HierarchicalSelfSupervision",
    "Hints",
    "KerasDistillation",
    "KerasLoss",
    "MetricAbsolute",
    "MetricRelative",
    "NormalizedKL",
    "Pearson",
    "ProbabilisticJeffreys",
    "ProbabilisticKL",
    "Setting",
    "SigmoidCrossentropy",
    "SimilarityKL",
    "SimilarityWithClasses",
    "SmoothedCrossentropy",
    "SoftenedKL",
    "SoftmaxRegression",
    "accuracy",
    "as_distillation_loss",
    "attention_transfer",
    "contrast_scores",
    "contrastive_nce",
    "crossentropy",
    "decoupled_kl",
    "factor_distance",
    "feature_mse",
    "flow_matrix",
    "flow_of_solution",
    "head_mse",
    "joint_labels",
    "metric_absolute",
    "metric_relative",
    "normalized_kl",
    "pearson_inter",
    "pearson_intra",
    "pooled_feature_mse",
    "probabilistic_jeffreys",
    "probabilistic_kl",
    "rotations",
    "similarity_kl",
    "softened_kl",
]
