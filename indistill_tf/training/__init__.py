"""Hops, chains of hops, recipes and the record they leave."""

from indistill_tf.training.chain import run_chain
from indistill_tf.training.clip.chain import run_pairs
from indistill_tf.training.clip.pair import run_pair
from indistill_tf.training.clip.recipe import PairRecipe
from indistill_tf.training.clip.task import PairTask
from indistill_tf.training.hop import run_hop
from indistill_tf.training.modules import ModulesRecipe
from indistill_tf.training.modules import train_modules
from indistill_tf.training.networks import build_network
from indistill_tf.training.networks import read_teacher
from indistill_tf.training.recipe import Recipe
from indistill_tf.training.record import export_run
from indistill_tf.training.record import opened
from indistill_tf.training.record import recorded_run
from indistill_tf.training.reference_sgd import ReferenceSGD

__all__ = [
    "PairRecipe",
    "PairTask",
    "ModulesRecipe",
    "Recipe",
    "ReferenceSGD",
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
]
