"""Hops, chains of hops, recipes and the record they leave."""

from indistill_tf.training.chain import Chain
from indistill_tf.training.chain import run_chain
from indistill_tf.training.clip.chain import PairChain
from indistill_tf.training.clip.chain import run_pairs
from indistill_tf.training.clip.distillation import PairDistillation
from indistill_tf.training.clip.distillation import PairTeacher
from indistill_tf.training.clip.pair import PairHop
from indistill_tf.training.clip.pair import Towers
from indistill_tf.training.clip.pair import run_pair
from indistill_tf.training.clip.recipe import PairRecipe
from indistill_tf.training.clip.task import PairTask
from indistill_tf.training.compression import COMPRESSIONS
from indistill_tf.training.distillation import Distillation
from indistill_tf.training.exports import export_run
from indistill_tf.training.exports import verify_exports
from indistill_tf.training.hop import Hop
from indistill_tf.training.hop import run_hop
from indistill_tf.training.modules import ModulesRecipe
from indistill_tf.training.modules import train_modules
from indistill_tf.training.networks import Network
from indistill_tf.training.networks import build_network
from indistill_tf.training.networks import read_teacher
from indistill_tf.training.recipe import Recipe
from indistill_tf.training.record import opened
from indistill_tf.training.record import recorded_run
from indistill_tf.training.reference_sgd import ReferenceSGD
from indistill_tf.training.run import Run

__all__ = [
    "COMPRESSIONS",
    "Chain",
    "Distillation",
    "Hop",
    "ModulesRecipe",
    "Network",
    "PairChain",
    "PairDistillation",
    "PairHop",
    "PairRecipe",
    "PairTask",
    "PairTeacher",
    "Recipe",
    "ReferenceSGD",
    "Run",
    "Towers",
    "build_network",
    "export_run",
    "opened",
    "read_teacher",
    "recorded_run",
    "run_chain",
    "run_hop",
    "run_pair",
    "run_pairs",
    "train_modules",
    "verify_exports",
]
