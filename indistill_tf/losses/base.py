"""What every distillation loss has in common."""

import dataclasses
import inspect
from typing import Any
from typing import Self

import keras

from indistill_tf.errors import UserError
from indistill_tf.graph.heads import Heads
from indistill_tf.hints import Tensor


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a loss may want to know of the run that it is made for.

    Attributes:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`.
        teacher_endpoint: the teacher's symbolic tensor that the loss reads, a
            tuple of them for losses of several maps.
        student_endpoint: the student's.
        train_labels: ints `[num_data]`, the class of each training image, a
            function that returns them, or None where they are not known.
        replicas: int, the number of replicas that train.
        heads: `indistill_tf.graph.heads.Heads` of both networks, or None to
            decide them by the networks.
    """

    teacher: keras.Model
    student: keras.Model
    teacher_endpoint: object = None
    student_endpoint: object = None
    train_labels: object = None
    replicas: int = 1
    heads: object = None

    @property
    def sigmoid(self) -> bool:
        """Whether the networks' logits are read by sigmoids, not a softmax.

        Raises:
            UserError: if the two differ, or it is not known.
        """
        if self.teacher is None:
            return False
        return (self.heads or Heads(self.teacher, self.student)).sigmoid

    def labels(self) -> Tensor | None:
        """Returns the training images' classes, or None.

        Where they lie in files this may read these, so a loss asks only if it
        needs them.
        """
        if callable(self.train_labels):
            return self.train_labels()
        return self.train_labels


class DistillationLoss(keras.layers.Layer):
    """Base of the distillation losses: a layer called on (teacher, student).

    A loss is a `keras.layers.Layer`, so that whatever it trains (adapters,
    projection heads, memory banks) is tracked, saved with the run and left
    behind at export. Subclasses implement `call(teacher, student)` and return
    a scalar; they compute in float32 whatever the precision of the networks.

    A loss that must first be prepared on the teacher alone (an autoencoder of
    its maps, a classifier on them) also implements `prepare` and
    `preparation_variables`.

    Args:
        name: string, the layer's name.
        dtype: the dtype of computation. Defaults to `"float32"`.
        **kwargs: further arguments of `keras.layers.Layer`.

    Attributes:
        endpoint: what the loss compares when a method uses it as its task:
            `"logits"`, `"embedding"` or any other name that
            `indistill_tf.endpoints.endpoint` knows, or a pair of names for
            teacher and student, each a name or a tuple of names; `"tap"` for
            intermediate layers.
        relational: bool, whether the loss compares samples with each other.
            With several replicas the `Distiller` then gives every replica the
            features of the whole batch.
        remembers: bool, whether the loss keeps a memory of samples from step
            to step. Then it is given the whole batch without exception.
        needs: tuple of strings, further arguments of `call` that the batch
            holds: `"labels"`, or `"sample_ids"`, ints `[N]`, the positions of
            the images in the training set.
        provided: tuple of strings, arguments of the constructor that `create`
            finds in the `Setting`.
        adapters: string, what is trained beside the student; empty for none.
        needs_classes: bool, whether the loss is of classes that exclude each
            other, and so means nothing where outputs are sigmoids.
    """

    endpoint = "tap"
    relational = False
    remembers = False
    needs = ()
    provided = ()
    adapters = ""
    needs_classes = False

    def __init__(
        self, name: str | None = None, dtype: str = "float32", **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype, **kwargs)

    @classmethod
    def create(cls, setting: Setting, **options: Any) -> Self:
        """Returns the loss for a pair of networks.

        Args:
            setting: `Setting`, of which a subclass takes what it needs.
            **options: arguments of the constructor.
        """
        del setting
        return cls(**options)

    @classmethod
    def options(cls) -> dict:
        """Returns the arguments that a user may choose, with defaults."""
        hidden = ("name", "dtype", *cls.provided)
        return {
            item.name: item.default
            for item in inspect.signature(cls.__init__).parameters.values()
            if item.default is not item.empty and item.name not in hidden
        }

    def prepare(self, teacher: Tensor, labels: Tensor) -> Tensor:
        """Returns the loss of the preparation, which no student takes part in.

        Args:
            teacher: what `call` gets from the teacher.
            labels: ints `[N]`, the classes of the batch.
        """
        raise NotImplementedError

    @property
    def preparation_variables(self) -> list:
        """The variables that `prepare` trains, and `call` does not."""
        return []

    @property
    def student_variables(self) -> list:
        """The variables that `call` trains, along with the student."""
        prepared = {id(variable) for variable in self.preparation_variables}
        return [
            variable
            for variable in self.trainable_variables
            if id(variable) not in prepared
        ]

    def check_heads(self, heads: Heads) -> None:
        """Checks that the loss fits what the networks end in.

        Args:
            heads: `indistill_tf.graph.heads.Heads` of both networks.

        Raises:
            UserError: if not, or where it matters and is not known.
        """
        names = keras.tree.flatten(self.endpoint)
        reads_logits = "logits" in names or "guides" in names
        if not (self.needs_classes or reads_logits):
            return
        if heads.sigmoid and self.needs_classes:
            raise UserError(
                f"{type(self).__name__} compares classes that exclude each "
                "other, but the networks' outputs are sigmoids. Choose a "
                "method that has a form for these ('okd', 'takd', 'dgkd') or "
                "that compares embeddings or maps, such as 'pkt' or 'at'."
            )

    def compute_output_shape(self, *shapes: tuple) -> tuple:
        return ()


class TemperatureLoss(DistillationLoss):
    """Base of the losses that soften distributions by a temperature.

    Args:
        temperature: float above 0.
        **kwargs: `name` and `dtype` of the layer.

    Raises:
        UserError: if `temperature` is not positive.
    """

    def __init__(self, temperature: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_temperature("temperature", temperature)
        self.temperature = temperature

    def get_config(self) -> dict:
        return {**super().get_config(), "temperature": self.temperature}


def check_temperature(name: str, value: float) -> None:
    """Checks a divisor of what a softmax reads.

    Args:
        name: string, the argument's, for the message.
        value: what came.

    Raises:
        UserError: if it is not positive.
    """
    if value <= 0:
        raise UserError(f"`{name}` must be above 0. Received: {name}={value}")


class LogitsLoss(TemperatureLoss):
    """Base of the losses that compare softened class probabilities.

    Those that have a form for sigmoids too are `SigmoidOrSoftmax`. See
    `TemperatureLoss` for the arguments.
    """

    endpoint = "logits"
    needs_classes = True


class SigmoidOrSoftmax(LogitsLoss):
    """Base of the losses of logits that are read by a softmax or by sigmoids.

    Args:
        temperature: float above 0.
        sigmoid: bool, whether each logit is of a probability of its own, as of
            a binary classifier or of labels of which an image may have
            several. A `Distiller` chooses it by what the networks end in.
            Defaults to False.
        **kwargs: `name` and `dtype` of the layer.

    Raises:
        UserError: if `temperature` is not positive.
    """

    provided = ("sigmoid",)
    needs_classes = False

    def __init__(
        self, temperature: float, sigmoid: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(temperature, **kwargs)
        self.sigmoid = sigmoid

    @classmethod
    def create(cls, setting: Setting, **options: Any) -> Self:
        sigmoid = setting is not None and setting.sigmoid
        return cls(**options, sigmoid=sigmoid)

    def check_heads(self, heads: Heads) -> None:
        super().check_heads(heads)
        if self.sigmoid != heads.sigmoid:
            raise UserError(
                f"{type(self).__name__} was made with sigmoid={self.sigmoid}, "
                f"but the networks' outputs are {heads.student.told!r}. Give "
                f"it `sigmoid={heads.sigmoid}`, or its class in its place."
            )

    def get_config(self) -> dict:
        return {**super().get_config(), "sigmoid": self.sigmoid}
