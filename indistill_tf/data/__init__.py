"""Image sets, augmentation and input pipelines."""

from indistill_tf.data.augmentation import crop_and_flip
from indistill_tf.data.pipeline import evaluation_batches
from indistill_tf.data.pipeline import steps
from indistill_tf.data.pipeline import training_batches
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.data.sources import DEFAULTS
from indistill_tf.data.sources import ImageSet
from indistill_tf.data.sources import Split
from indistill_tf.data.sources import from_datasets
from indistill_tf.data.sources import load

__all__ = [
    "DEFAULTS",
    "ImageSet",
    "Preprocessing",
    "Split",
    "crop_and_flip",
    "evaluation_batches",
    "from_datasets",
    "load",
    "steps",
    "training_batches",
]
