"""Knowledge distillation for Keras 3: InDistill and the methods beside it."""

from indistill_tf import auxiliary
from indistill_tf import cifd
from indistill_tf import data
from indistill_tf import deploy
from indistill_tf import endpoints
from indistill_tf import evaluation
from indistill_tf import losses
from indistill_tf import methods
from indistill_tf import models
from indistill_tf import pruning
from indistill_tf import schedules
from indistill_tf import taps
from indistill_tf import training
from indistill_tf.assistants import with_assistants
from indistill_tf.distiller import Distiller
from indistill_tf.errors import UserError
from indistill_tf.methods import Method
from indistill_tf.schedules import Curriculum
from indistill_tf.schedules import CurriculumCallback

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
    "schedules",
    "taps",
    "training",
    "with_assistants",
]
