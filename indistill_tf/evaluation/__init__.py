"""Accuracy, retrieval, information flow, agreement and cost."""

from indistill_tf.evaluation.cost import file_size
from indistill_tf.evaluation.cost import flops
from indistill_tf.evaluation.cost import latency
from indistill_tf.evaluation.cost import parameters
from indistill_tf.evaluation.details import DETAILS_FILE
from indistill_tf.evaluation.details import Details
from indistill_tf.evaluation.information_flow import InformationFlow
from indistill_tf.evaluation.information_flow import information_flow
from indistill_tf.evaluation.retrieval import Retrieval
from indistill_tf.evaluation.retrieval import retrieval
from indistill_tf.evaluation.scores import accuracy
from indistill_tf.evaluation.scores import accuracy_on
from indistill_tf.evaluation.scores import outputs
from indistill_tf.evaluation.scores import score
from indistill_tf.evaluation.zero_shot import class_embeddings
from indistill_tf.evaluation.zero_shot import image_text_retrieval
from indistill_tf.evaluation.zero_shot import zero_shot_accuracy

__all__ = [
    "DETAILS_FILE",
    "Details",
    "InformationFlow",
    "Retrieval",
    "accuracy",
    "accuracy_on",
    "class_embeddings",
    "file_size",
    "flops",
    "image_text_retrieval",
    "information_flow",
    "latency",
    "outputs",
    "parameters",
    "retrieval",
    "score",
    "zero_shot_accuracy",
]
