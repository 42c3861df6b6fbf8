"""Speed of parts of this package, each beside a plain way of doing the same."""

from indistill_tf_tools.benchmarks.cached_teacher import cache
from indistill_tf_tools.benchmarks.checkpoint import checkpoint
from indistill_tf_tools.benchmarks.compile import compile
from indistill_tf_tools.benchmarks.deployment import deployment
from indistill_tf_tools.benchmarks.engines import engines
from indistill_tf_tools.benchmarks.engines import million
from indistill_tf_tools.benchmarks.from_labels import bfloat16
from indistill_tf_tools.benchmarks.from_labels import supervised
from indistill_tf_tools.benchmarks.growth import growth
from indistill_tf_tools.benchmarks.input_pipeline import pipeline
from indistill_tf_tools.benchmarks.jpeg import jpeg
from indistill_tf_tools.benchmarks.levers import levers
from indistill_tf_tools.benchmarks.overhead import finite
from indistill_tf_tools.benchmarks.overhead import fit
from indistill_tf_tools.benchmarks.paired import paired
from indistill_tf_tools.benchmarks.pytorch import torch
from indistill_tf_tools.benchmarks.retrieval import ranking
from indistill_tf_tools.benchmarks.retrieval import retrieval
from indistill_tf_tools.benchmarks.roofline import roofline
from indistill_tf_tools.benchmarks.stage_change import stage_change
from indistill_tf_tools.benchmarks.steps import fits
from indistill_tf_tools.benchmarks.steps import steps
from indistill_tf_tools.benchmarks.trace import profile
from indistill_tf_tools.benchmarks.training_cost import cost
from indistill_tf_tools.benchmarks.training_cost import modules
from indistill_tf_tools.benchmarks.workers import workers

# A case is a function `(data_dir, repeats)` that returns a dict from rows to
# dicts, of what `paired` returns or of numbers.
CASES = {
    "steps": steps,
    "fits": fits,
    "levers": levers,
    "compile": compile,
    "supervised": supervised,
    "bfloat16": bfloat16,
    "fit": fit,
    "finite": finite,
    "pipeline": pipeline,
    "jpeg": jpeg,
    "cache": cache,
    "retrieval": retrieval,
    "ranking": ranking,
    "engines": engines,
    "million": million,
    "roofline": roofline,
    "growth": growth,
    "cost": cost,
    "modules": modules,
    "stage_change": stage_change,
    "deployment": deployment,
    "workers": workers,
    "checkpoint": checkpoint,
    # Last: it wants what the others do without.
    "torch": torch,
}

__all__ = ["CASES", "paired", "profile", *CASES]
