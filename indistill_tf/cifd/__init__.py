"""CIFD: rate-distortion modules between teacher and student."""

from indistill_tf.cifd.architectures import ARCHITECTURES
from indistill_tf.cifd.architectures import Architecture
from indistill_tf.cifd.batches import EmbeddingBatches
from indistill_tf.cifd.bottleneck import InformationBottleneck
from indistill_tf.cifd.bottleneck import with_bottleneck
from indistill_tf.cifd.calibrate import Calibration
from indistill_tf.cifd.calibrate import calibrate
from indistill_tf.cifd.clip import EmbeddingMatching
from indistill_tf.cifd.clip import Temperature
from indistill_tf.cifd.clip import contrastive_loss
from indistill_tf.cifd.controlled_information_flow import (
    ControlledInformationFlow,
)
from indistill_tf.cifd.density import DENSITIES
from indistill_tf.cifd.density import FactorizedDensity
from indistill_tf.cifd.frozen import frozen_modules
from indistill_tf.cifd.gaussian import GaussianDensity
from indistill_tf.cifd.noise import NormalNoise
from indistill_tf.cifd.noise import UniformNoise
from indistill_tf.cifd.pair import PairDistiller
from indistill_tf.cifd.rdm import RateDistortionModules
from indistill_tf.cifd.rdm_options import OPTIONS

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Calibration",
    "ControlledInformationFlow",
    "DENSITIES",
    "EmbeddingBatches",
    "EmbeddingMatching",
    "FactorizedDensity",
    "GaussianDensity",
    "InformationBottleneck",
    "NormalNoise",
    "OPTIONS",
    "PairDistiller",
    "RateDistortionModules",
    "Temperature",
    "UniformNoise",
    "calibrate",
    "contrastive_loss",
    "frozen_modules",
    "with_bottleneck",
]
