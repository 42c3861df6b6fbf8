"""What is shipped of a trained network: pixels in, named outputs."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from indistill_tf import unit_length
from indistill_tf.errors import UserError
from indistill_tf.finite import check_outputs
from indistill_tf.finite import check_weights
from indistill_tf.graph import endpoints
from indistill_tf.graph import heads
from indistill_tf.hints import Tensor

PROBABILITIES = "probabilities"
EMBEDDING = "embedding"
OUTPUTS = (PROBABILITIES, EMBEDDING)


class Deployable:
    """A trained network with all that stands between pixels and answers.

    Every format is made of it, so that all say the same. Called with pixels it
    returns a dict: `probabilities` `[N, K]`, of classes the softmax, else the
    sigmoids (of a single one the probability of the second class); and
    `embedding` `[N, D]`, the penultimate one at unit length. Both are float32,
    whatever the network computes in.

    Args:
        model: functional `keras.Model`, from normalised images to logits or
            probabilities, or a `Distiller`, of which the student is shipped.
        preprocessing: `indistill_tf.data.Preprocessing`.
        class_names: sequence of strings. Defaults to none.
        head: what the output is, see `Distiller`. `"sigmoid"` for a last layer
            without activation that was trained as such. Defaults to None: as
            the model ends, or as the `Distiller` trained it, which the student
            alone does not say.
        outputs: which of several outputs, see `Distiller`. Defaults to None.

    Attributes:
        name: string, the network's.
        preprocessing: as given.
        class_names: tuple of strings.
        network: `keras.Model` from normalised images to a dict of `embedding`
            and `logits`.
        sigmoid: bool, whether a logit's probability is its sigmoid.

    Call arguments:
        images: uint8 or float tensor `[N, H, W, C]` of pixel values 0..255, of
            the size that `preprocessing` resizes or pads from.

    Raises:
        UserError: if the model is not functional, weights of it are not
            finite, or it is not known what the output is.
    """

    def __init__(
        self,
        model: keras.Model,
        preprocessing: Callable[[Tensor], Tensor],
        class_names: Sequence[str] = (),
        head: str | None = None,
        outputs: str | None = None,
    ) -> None:
        if hasattr(model, "student_head"):
            model, head = model.student, head or model.student_head
        _check_functional(model)
        check_weights(model)
        self.name = model.name
        self.preprocessing = preprocessing
        self.class_names = tuple(class_names)
        model = endpoints.flattened(heads.chosen(model, outputs))
        model = heads.declared(model, head)
        self.network = endpoints.named_view(model, ("embedding", "logits"))
        self.sigmoid = heads.decide(model).sigmoid
        self._activation = tf.nn.sigmoid if self.sigmoid else tf.nn.softmax

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` that the network reads."""
        return self.preprocessing.input_shape

    @property
    def precision(self) -> str:
        """The narrowest dtype that a layer computes in, such as `"float16"`."""
        dtypes = {layer.compute_dtype for layer in self.network.layers}
        halves = dtypes & {"float16", "bfloat16"}
        return min(halves, default="float32")

    @property
    def variables(self) -> list[tf.Variable]:
        """The network's variables, as TensorFlow saves them."""
        return [variable.value for variable in self.network.variables]

    def __call__(self, images: Tensor) -> dict[str, tf.Tensor]:
        return self.answer(self.preprocessing.fit_size(images))

    def answer(self, images: Tensor) -> dict[str, tf.Tensor]:
        """Returns what a call does, of images of the network's size.

        Args:
            images: uint8 or float tensor `[N, *input_shape]`.
        """
        pixels = self.preprocessing.normalize(images)
        said = self.network(pixels, training=False)
        logits = tf.cast(said["logits"], tf.float32)
        return {
            PROBABILITIES: self._activation(logits),
            EMBEDDING: unit_length.of_tensor(said["embedding"]),
        }

    def sized(self, images: Tensor) -> np.ndarray:
        """Returns images at the network's size, as the fixed formats read them.

        Args:
            images: uint8 array `[N, H, W, C]`.

        Returns:
            uint8 array `[N, *input_shape]`.
        """
        return np.asarray(self.preprocessing.fit_size(images))

    def function(self, batch: int | None = 1) -> tf.types.experimental.Callable:
        """Returns `answer` as a function of uint8 images of a fixed size.

        Args:
            batch: int, the images of a call; None for any number. Defaults to
                1.

        Returns:
            A concrete function of `image`, uint8 `[batch, *input_shape]`.
        """
        spec = tf.TensorSpec((batch, *self.input_shape), tf.uint8, name="image")
        return tf.function(self.answer).get_concrete_function(spec)

    def predict(
        self, images: Tensor, batch_size: int = 256
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of images, computed by Keras in batches.

        Args:
            images: uint8 or float32 array `[N, H, W, C]`.
            batch_size: int. Defaults to 256.

        Returns:
            Dict of arrays, see the class.

        Raises:
            UserError: if a number of them is not finite.
        """
        starts = range(0, len(images), batch_size)
        parts = [self(images[i : i + batch_size]) for i in starts]
        found = {
            name: np.concatenate([part[name] for part in parts])
            for name in OUTPUTS
        }
        for name, values in found.items():
            owner = f"Outputs {name!r} of model {self.name!r} are"
            check_outputs(values, owner)
        return found


def _check_functional(model):
    if not getattr(model, "inputs", None):
        raise UserError(
            f"Model {model.name!r} cannot be shipped: it is no functional "
            "model (a subclass of `keras.Model` with a `call` of its own, or "
            "never built). Build it with `keras.Model(inputs, outputs)` or "
            "`keras.Sequential`."
        )
