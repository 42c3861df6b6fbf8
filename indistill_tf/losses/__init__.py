"""One paper, one file: the equation as a function, and the layer around it."""

from indistill_tf.losses.at import AttentionTransfer
from indistill_tf.losses.at import attention_transfer
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.factor_transfer import FactorTransfer
from indistill_tf.losses.factor_transfer import Paraphraser
from indistill_tf.losses.factor_transfer import factor_distance
from indistill_tf.losses.fsp import FlowOfSolution
from indistill_tf.losses.fsp import flow_matrix
from indistill_tf.losses.fsp import flow_of_solution
from indistill_tf.losses.hints import Hints
from indistill_tf.losses.indistill import FeatureMSE
from indistill_tf.losses.indistill import feature_mse
from indistill_tf.losses.okd import SoftenedKL
from indistill_tf.losses.okd import softened_kl
from indistill_tf.losses.pkt import ProbabilisticJeffreys
from indistill_tf.losses.pkt import ProbabilisticKL
from indistill_tf.losses.pkt import probabilistic_jeffreys
from indistill_tf.losses.pkt import probabilistic_kl
from indistill_tf.losses.srrl import SoftmaxRegression
from indistill_tf.losses.srrl import head_mse
from indistill_tf.losses.srrl import pooled_feature_mse

__all__ = [
    "AttentionTransfer",
    "DistillationLoss",
    "FactorTransfer",
    "FeatureMSE",
    "FlowOfSolution",
    "Hints",
    "Paraphraser",
    "ProbabilisticJeffreys",
    "ProbabilisticKL",
    "SoftenedKL",
    "SoftmaxRegression",
    "attention_transfer",
    "factor_distance",
    "feature_mse",
    "flow_matrix",
    "flow_of_solution",
    "head_mse",
    "pooled_feature_mse",
    "probabilistic_jeffreys",
    "probabilistic_kl",
    "softened_kl",
]
