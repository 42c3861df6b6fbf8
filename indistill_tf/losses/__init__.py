"""One paper, one file: the equation as a function, and the layer around it."""

from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.crd import ContrastiveRepresentation
from indistill_tf.losses.crd import contrast_scores
from indistill_tf.losses.crd import contrastive_nce
from indistill_tf.losses.dist import Pearson
from indistill_tf.losses.dist import pearson_inter
from indistill_tf.losses.dist import pearson_intra
from indistill_tf.losses.indistill import FeatureMSE
from indistill_tf.losses.indistill import feature_mse
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

__all__ = [
    "ContrastiveRepresentation",
    "DistillationLoss",
    "FeatureMSE",
    "MetricAbsolute",
    "MetricRelative",
    "NormalizedKL",
    "Pearson",
    "ProbabilisticJeffreys",
    "ProbabilisticKL",
    "SoftenedKL",
    "contrast_scores",
    "contrastive_nce",
    "feature_mse",
    "metric_absolute",
    "metric_relative",
    "normalized_kl",
    "pearson_inter",
    "pearson_intra",
    "probabilistic_jeffreys",
    "probabilistic_kl",
    "softened_kl",
]
