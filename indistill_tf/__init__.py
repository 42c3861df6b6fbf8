"""Knowledge distillation for Keras 3: InDistill and the methods beside it."""

import sys

from indistill_tf import cifd
from indistill_tf import data
from indistill_tf import deploy
from indistill_tf import evaluation
from indistill_tf import losses
from indistill_tf import models
from indistill_tf import training
from indistill_tf.distillation import methods
from indistill_tf.distillation import schedules
from indistill_tf.distillation.distiller import Distiller
from indistill_tf.distillation.methods import Method
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.distillation.schedules import CurriculumCallback
from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.graph import pruning
from indistill_tf.graph import rankings
from indistill_tf.graph import taps
from indistill_tf.graph import widening as auxiliary
from indistill_tf.graph.assistants import with_assistants

__version__ = "0.1.0"

__all__ = [
    "Curriculum",
    "CurriculumCallback",
    "Distiller",
    "Method",
    "UserError",
    "auxiliary",
    "cifd",
    "data",
    "deploy",
    "endpoints",
    "evaluation",
    "losses",
    "methods",
    "models",
    "pruning",
    "rankings",
    "schedules",
    "taps",
    "training",
    "with_assistants",
]

# Public modules may be imported by their public names too, wherever they lie:
# `from indistill_tf.schedules import Curriculum`.
for _module in (
    auxiliary,
    endpoints,
    methods,
    pruning,
    rankings,
    schedules,
    taps,
):
    _name = next(name for name in __all__ if globals()[name] is _module)
    sys.modules[f"{__name__}.{_name}"] = _module
