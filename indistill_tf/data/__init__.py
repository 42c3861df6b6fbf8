"""Image sets, augmentation and input pipelines."""

from indistill_tf.data.augmentation import Crop
from indistill_tf.data.augmentation import RandomResizedCrop
from indistill_tf.data.augmentation import crop_and_flip
from indistill_tf.data.captions.captioned import CaptionedSplit
from indistill_tf.data.captions.captioned import CaptionSet
from indistill_tf.data.captions.sets import load_captions
from indistill_tf.data.captions.tokens import Tokenizer
from indistill_tf.data.images.damage import naming_damage
from indistill_tf.data.images.decoding import random_resized_crop
from indistill_tf.data.images.decoding import random_window
from indistill_tf.data.images.encoded import EncodedSplit
from indistill_tf.data.images.image_set import ImageSet
from indistill_tf.data.images.image_split import evenly_spaced
from indistill_tf.data.images.sets import DEFAULTS
from indistill_tf.data.images.sets import from_datasets
from indistill_tf.data.images.sets import load
from indistill_tf.data.images.split import Split
from indistill_tf.data.order import Order
from indistill_tf.data.pipeline import distributed
from indistill_tf.data.pipeline import distributed_batches
from indistill_tf.data.pipeline import distributed_evaluation
from indistill_tf.data.pipeline import evaluation_batches
from indistill_tf.data.pipeline import evaluation_shares
from indistill_tf.data.pipeline import steps
from indistill_tf.data.pipeline import training_batches
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.data.teacher_cache.cache import TeacherCache
from indistill_tf.data.teacher_cache.targets import Targets
from indistill_tf.data.teacher_cache.targets import check_cacheable
from indistill_tf.data.teacher_cache.views import Views

__all__ = [
    "CaptionSet",
    "CaptionedSplit",
    "Crop",
    "DEFAULTS",
    "EncodedSplit",
    "ImageSet",
    "Order",
    "Preprocessing",
    "RandomResizedCrop",
    "Split",
    "Targets",
    "TeacherCache",
    "Tokenizer",
    "Views",
    "check_cacheable",
    "crop_and_flip",
    "distributed",
    "distributed_batches",
    "distributed_evaluation",
    "evaluation_batches",
    "evaluation_shares",
    "evenly_spaced",
    "from_datasets",
    "load",
    "load_captions",
    "naming_damage",
    "random_resized_crop",
    "random_window",
    "steps",
    "training_batches",
]
