"""Which of a student's layers no loss of a method trains."""

import logging

from indistill_tf.distillation.terms import EpochWeights
from indistill_tf.graph import endpoints

logger = logging.getLogger("indistill_tf")


def untrained_layers(student, terms, num_taps):
    """Returns the layers with weights that no epoch of a method trains.

    In retrieval that is the classifier: it follows the embedding, which is all
    that the losses read.

    Args:
        student: functional `keras.Model`, without models inside.
        terms: list of `Term`, of the method.
        num_taps: int, the number of losses at taps.

    Returns:
        List of strings, layers on the way to the student's first output.
    """
    every = EpochWeights(False, (1.0,) * num_taps, 1.0)
    read = [
        tensor
        for term in terms
        if term.student is not None and term.weight_in(every) > 0
        for tensor in _tuple(term.student)
    ]
    trained = set(map(id, _layers(student, read)))
    return [
        layer.name
        for layer in _layers(student, student.outputs[:1])
        if layer.trainable_variables and id(layer) not in trained
    ]


def warn(student, method, layers):
    """Says that metrics of a student's output will mean nothing.

    Args:
        student: string, its name.
        method: string, its name.
        layers: list of strings, see `untrained_layers`.
    """
    logger.warning(
        "No loss of method %r trains the output of student %r: %s will stay "
        "as it is, and metrics of the output say nothing. For a classifier "
        'use `objective="classification"`, or a `supervised_weight` above 0.',
        method,
        student,
        ", ".join(layers),
    )


def _layers(model, tensors):
    """Returns the layers on the way to some tensors of a model."""
    if not tensors:
        return []
    named = {str(index): tensor for index, tensor in enumerate(tensors)}
    return endpoints.view(model, named).layers


def _tuple(one_or_more):
    return one_or_more if isinstance(one_or_more, tuple) else (one_or_more,)
