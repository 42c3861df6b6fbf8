"""HSAKD: every tap learns to tell which way up an image is, besides its class.

The batch is shown in four rotations, and behind each tap an auxiliary
classifier knows four joint labels for each class. The teacher's classifiers
are trained first, on the teacher alone; then the student's follow them.
"""

from typing import Any
from typing import Self

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.hints import Tensor
from indistill_tf.losses.base import LogitsLoss
from indistill_tf.losses.base import Setting
from indistill_tf.losses.numerics import at_least_float32
from indistill_tf.losses.okd import softened_kl

_ROTATIONS = 4


def rotations(images: Tensor) -> Tensor:
    """Returns every image in four rotations, one image after the other.

    Image `n`, turned counter-clockwise by `r` quarters, is row `4 * n + r`,
    so `rotations(images)[0::4]` are the images themselves.

    Args:
        images: tensor `[N, H, H, C]`.

    Returns:
        Tensor `[4 * N, H, H, C]`.

    Raises:
        UserError: if the images are not square or their size is unknown.

    References:
        - [Yang et al., 2021](https://arxiv.org/abs/2107.13715)
    """
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] is None or shape[1] != shape[2]:
        raise UserError(
            "Only square images of known size [N, H, H, C] keep their shape "
            f"when they are rotated. Received: shape {shape}. Crop or resize "
            "the images, or choose a method without rotations."
        )
    quarters = [
        ops.rot90(images, k=quarter, axes=(1, 2))
        for quarter in range(_ROTATIONS)
    ]
    stacked = ops.stack(quarters, axis=1)
    return ops.reshape(stacked, (-1, *ops.shape(images)[1:]))


def joint_labels(labels: Tensor) -> Tensor:
    """Returns the joint labels `4 * class + rotation` of `rotations`.

    Args:
        labels: ints `[N]`, the classes.

    Returns:
        Int tensor `[4 * N]`.

    Example:

    >>> ops.convert_to_numpy(joint_labels([0, 2])).tolist()
    [0, 1, 2, 3, 8, 9, 10, 11]

    References:
        - [Yang et al., 2021](https://arxiv.org/abs/2107.13715)
    """
    # The classes often come as bytes, which the product would overflow.
    classes = ops.reshape(ops.cast(labels, "int32"), (-1, 1))
    joint = _ROTATIONS * classes + ops.arange(_ROTATIONS, dtype="int32")
    return ops.reshape(joint, (-1,))


@keras.saving.register_keras_serializable(package="indistill_tf")
class HierarchicalSelfSupervision(LogitsLoss):
    """`softened_kl` of two auxiliary classifiers, one behind each map.

    A classifier is the rest of its network behind the tap, newly initialised,
    and a dense layer with four logits for each class. `prepare` trains the
    teacher's on joint labels; `call` trains the student's, and the student
    through it, to agree with the teacher's.

    The paper also repeats the remaining stages, and gives the last tap one
    stage more. Here the last tap gets no more than the others: what its
    network has behind it.

    Args:
        teacher_classifier: `keras.Model` from the teacher's map to
            `4 * classes` logits.
        student_classifier: `keras.Model` from the student's map to
            `4 * classes` logits.
        temperature: float above 0, `T`. Defaults to 3.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: the teacher's map of the rotated images, `[4 * N, H, W, C]`.
        student: the student's map of the rotated images,
            `[4 * N, H', W', C']`.
        training: bool, whether the student's classifier runs in training
            mode. The teacher's never does. Defaults to True.

    Raises:
        UserError: if `temperature` is not positive.

    References:
        - [Yang et al., 2021](https://arxiv.org/abs/2107.13715)
    """

    endpoint = "tap"
    # Its joint labels are of one class an image.
    needs_classes = True
    adapters = "a classifier a tap, in both networks"

    def __init__(
        self,
        teacher_classifier: keras.Model,
        student_classifier: keras.Model,
        temperature: float = 3.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, **kwargs)
        self.teacher_classifier = teacher_classifier
        self.student_classifier = student_classifier

    @classmethod
    def create(cls, setting: Setting, **options: Any) -> Self:
        """Returns the loss with new classifiers for a pair of networks.

        Args:
            setting: `Setting` with one endpoint for each network.
            **options: arguments of the constructor but for the classifiers.

        Raises:
            UserError: if a network cannot be continued from its endpoint.
        """
        synchronized = setting.replicas > 1
        return cls(
            _make_classifier(
                setting.teacher, setting.teacher_endpoint, synchronized
            ),
            _make_classifier(
                setting.student, setting.student_endpoint, synchronized
            ),
            **options,
        )

    @property
    def preparation_variables(self) -> list:
        """The variables of the teacher's classifier."""
        return self.teacher_classifier.trainable_variables

    def prepare(self, teacher: Tensor, labels: Tensor) -> Tensor:
        """Returns the cross-entropy of the teacher's classifier.

        Args:
            teacher: the teacher's map of the rotated images,
                `[4 * N, H, W, C]`.
            labels: ints `[N]`, the classes of the unrotated images.

        Returns:
            Scalar tensor, the mean over all rotated images, in nats.

        Raises:
            UserError: if there are no labels.
        """
        if labels is None:
            raise UserError(
                "HSAKD prepares classifiers of rotated images, which needs "
                "labels, but the data bring images alone. Expected (images, "
                "labels)."
            )
        (logits,) = at_least_float32(
            self.teacher_classifier(teacher, training=True)
        )
        return ops.mean(
            ops.sparse_categorical_crossentropy(
                joint_labels(labels), logits, from_logits=True
            )
        )

    def call(
        self, teacher: Tensor, student: Tensor, training: bool = True
    ) -> Tensor:
        target = self.teacher_classifier(teacher, training=False)
        return softened_kl(
            ops.stop_gradient(target),
            self.student_classifier(student, training=training),
            self.temperature,
        )

    def get_config(self) -> dict:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "teacher_classifier": serialize(self.teacher_classifier),
            "student_classifier": serialize(self.student_classifier),
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        deserialize = keras.saving.deserialize_keras_object
        classifiers = {
            key: deserialize(config[key])
            for key in ("teacher_classifier", "student_classifier")
        }
        return cls(**{**config, **classifiers})


def _make_classifier(model, tapped, synchronized):
    """Returns a new copy of what follows a tap, with joint logits."""

    def renew(layer):
        config = layer.get_config()
        # Setting it on the classifier would not do: Keras ignores assignments
        # that change nothing, and a new model counts as trainable.
        if "trainable" in config:
            config["trainable"] = True
        if synchronized and isinstance(layer, layers.BatchNormalization):
            config["synchronized"] = True
        return type(layer).from_config(config)

    joint_width = _ROTATIONS * endpoints.endpoint(model, "logits").shape[-1]
    embedding = endpoints.endpoint(model, "embedding")
    tap_name = tapped._keras_history.operation.name
    # Two copies: a model that starts at an inner layer adds nodes to all that
    # follow, which would change the given network, and the second copy lets
    # go of the layers before the tap.
    whole = keras.models.clone_model(keras.Model(model.inputs, embedding))
    head = layers.Dense(joint_width, dtype="float32", name="joint_logits")
    try:
        behind = keras.Model(
            endpoints.endpoint(whole, tap_name), head(whole.output)
        )
    except ValueError as error:
        raise UserError(
            "An auxiliary classifier goes on from the tap as the network "
            "does, so the embedding must follow from the tap alone. Received: "
            f"layer {tap_name!r} of model {model.name!r}, from which it does "
            "not. Tap the end of a block that no shortcut bypasses."
        ) from error
    return keras.models.clone_model(
        behind, clone_function=renew, recursive=True
    )
