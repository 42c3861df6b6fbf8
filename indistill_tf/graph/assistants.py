"""A teacher and its assistants as one model, for methods that ask them all."""

from collections.abc import Sequence
from typing import Any
from typing import Self

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.graph import heads
from indistill_tf.hints import Tensor


@keras.saving.register_keras_serializable(package="indistill_tf")
class Guides(layers.Layer):
    """The logits of a teacher and of assistants that see the same images.

    Args:
        assistants: functional models, each from images to logits.
        **kwargs: `name` and `dtype` of the layer, which is never trained.

    Call arguments:
        images: `[N, H, W, C]`.
        logits: `[N, classes]`, the teacher's.

    Returns:
        Tensor `[N, 1 + assistants, classes]`, the teacher's first.
    """

    # Of a teacher with assistants, its own output is the one that counts.
    beside_output = True

    def __init__(
        self, assistants: Sequence[keras.Model], **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.assistants = list(assistants)

    def call(self, images: Tensor, logits: Tensor) -> Tensor:
        others = [
            assistant(images, training=False) for assistant in self.assistants
        ]
        return ops.stack([logits, *others], axis=1)

    def compute_output_shape(
        self, images_shape: tuple, logits_shape: tuple
    ) -> tuple:
        samples, classes = logits_shape
        return (samples, 1 + len(self.assistants), classes)

    def get_config(self) -> dict:
        serialize = keras.saving.serialize_keras_object
        assistants = [serialize(assistant) for assistant in self.assistants]
        return {**super().get_config(), "assistants": assistants}

    @classmethod
    def from_config(cls, config: dict) -> Self:
        restore = keras.saving.deserialize_keras_object
        assistants = [restore(item) for item in config.pop("assistants")]
        return cls(assistants, **config)


def with_assistants(
    teacher: keras.Model, assistants: Sequence[keras.Model]
) -> keras.Model:
    """Returns a teacher that brings what its assistants say of an image.

    Everything that can be read of the teacher can be read of the result; its
    endpoint `"guides"` holds the logits of all, `[N, S, classes]`.

    Args:
        teacher: functional `keras.Model` from images to logits.
        assistants: list of such models, for the same images and classes.

    Returns:
        `keras.Model`, over the layers of the teacher; the teacher itself
        without assistants.

    Raises:
        UserError: if an assistant reads or says something of another shape.

    Example:

    ```python
    guides = indistill_tf.with_assistants(teacher, [large, small])
    indistill_tf.Distiller(teacher=guides, student=student, method="dgkd")
    ```

    References:
        - [Son et al., 2021](https://arxiv.org/abs/2009.08825)
    """
    if not assistants:
        return teacher
    teacher = endpoints.flattened(teacher)
    head = heads.decide(teacher)
    images, logits = teacher.inputs[0], head.logits
    for assistant in assistants:
        shapes = (
            assistant.inputs[0].shape,
            heads.output_of(assistant).shape,
        )
        if shapes != (images.shape, logits.shape):
            raise UserError(
                f"Assistant {assistant.name!r} goes from "
                f"{shapes[0][1:]} to {shapes[1][1:]}, the teacher "
                f"{teacher.name!r} from {images.shape[1:]} to "
                f"{logits.shape[1:]}. Build them for the same images and "
                "classes."
            )
    assistants = [_up_to_logits(assistant, head) for assistant in assistants]
    guides = Guides(assistants, name="guides")(images, logits)
    output = heads.output_of(teacher)
    return keras.Model(images, [output, guides], name=teacher.name)


def _up_to_logits(assistant, head):
    own = heads.decide(assistant)
    if {own.sigmoid, head.sigmoid} == {True, False}:
        raise UserError(
            f"The output of assistant {assistant.name!r} is {own.told!r}, the "
            f"teacher's {head.told!r}. Build them with one kind of output."
        )
    if own.logits is heads.output_of(assistant):
        return assistant
    return keras.Model(assistant.inputs[0], own.logits, name=assistant.name)
