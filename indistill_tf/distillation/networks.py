"""Teacher and student as a method reads them: checked, and opened up."""

import keras

from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.graph import heads


def prepared(teacher, student, head=None, outputs=None, maps=True):
    """Returns two models as losses read them.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        head: see `Distiller`. Defaults to None.
        outputs: see `Distiller`. Defaults to None.
        maps: bool, whether layers inside are read, and not the output alone.
            Defaults to True.

    Returns:
        Tuple of the teacher and the student, each without models inside and
        with the output that counts, and their `Heads`.

    Raises:
        UserError: if the two cannot be teacher and student.
    """
    check_networks(teacher, student)
    names, told = _pair("outputs", outputs), _pair("head", head)
    models = [
        heads.declared(opened(heads.chosen(model, name), maps), kind)
        for model, name, kind in zip((teacher, student), names, told)
    ]
    return (*models, heads.Heads(*models))


def opened(model, maps):
    """Returns a model without models inside.

    Args:
        model: functional `keras.Model`.
        maps: bool, whether layers inside must be found by their names.

    Raises:
        UserError: if two have the same name, and `maps`.
    """
    try:
        return endpoints.flattened(model)
    except UserError:
        # Of an ensemble of two files whose layers have the same names, the
        # output is still what it is.
        if maps:
            raise
        return model


def _pair(argument, value):
    """Returns a value for the teacher and one for the student."""
    if value is None or isinstance(value, str):
        return value, value
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return tuple(value)
    raise UserError(
        f"`{argument}` is one value for both networks, or a pair (teacher, "
        f"student). Received: {value!r}"
    )


def check_trainable(network: keras.Model) -> None:
    """Checks that training changes a network.

    Args:
        network: built `keras.Model`.

    Raises:
        UserError: if it is wholly frozen.
    """
    if not network.trainable_weights:
        raise UserError(
            f"Model {network.name!r} is to be trained and has no trainable "
            "weight. Set `trainable=True` on it, and False on some layers only."
        )


def check_networks(teacher, student):
    """Checks that two models can be teacher and student.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.

    Raises:
        UserError: if not.
    """
    for role, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, keras.Model) or not getattr(
            model, "inputs", None
        ):
            raise UserError(
                f"The {role} must be a functional or built Sequential "
                f"keras.Model. Received: {model!r}"
            )
        if len(model.inputs) > 1:
            raise UserError(
                f"The {role} must read images alone. Received a model of "
                f"{len(model.inputs)} inputs: {model!r}"
            )
    check_trainable(student)
    # Also of models inside. What neither trains, they may share.
    if {id(weight) for weight in teacher.weights} & {
        id(weight) for weight in student.trainable_weights
    }:
        raise UserError(
            "Teacher and student share layers; the student would train its "
            "own teacher. Clone one of them (keras.models.clone_model)."
        )
    shapes = [tuple(model.inputs[0].shape[1:]) for model in (teacher, student)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"Teacher and student see the same images, but the teacher reads "
            f"{shapes[0]} and the student {shapes[1]}. Build both for one "
            "input shape."
        )
