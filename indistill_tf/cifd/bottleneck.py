"""The information bottleneck: noise with a price on the student's embedding."""

from typing import Any

import keras
from keras import ops

from indistill_tf.cifd import rdm_losses
from indistill_tf.cifd.density import FactorizedDensity
from indistill_tf.cifd.noise import UniformNoise
from indistill_tf.errors import UserError
from indistill_tf.graph import endpoints
from indistill_tf.hints import Tensor


@keras.saving.register_keras_serializable(package="indistill_tf")
class InformationBottleneck(keras.layers.Layer):
    """Adds uniform noise to an embedding in training, and the rate to the loss.

    `Wh = W + Z`, Z uniform on [-0.5, 0.5], and to the model's loss `weight`
    times the mean over samples of `-log r(Wh)`, r a learned density of each
    dimension. The layers before are the encoder. At inference it passes the
    embedding through; unlike a rate-distortion module it does not round.

    Args:
        weight: float above 0, lambda_I.
        rate_reduction: `"sum"` or `"mean"` of the rate over dimensions; the
            paper does not say. Defaults to `"sum"`, as eq. 7 is printed.
        seed: int or None, of the noise. Defaults to None: a random one.
        **kwargs: `name` of the layer.

    Call arguments:
        embedding: `[N, D]`.
        training: bool. Defaults to False.

    Returns:
        The embedding `[N, D]`, in training with noise.

    Raises:
        UserError: if the weight is not positive or the reduction unknown.

    References:
        - CIFD, NeurIPS 2024, eq. 7
    """

    # Losses that compare embeddings read the noisy one.
    stands_for = "embedding"

    def __init__(
        self,
        weight: float,
        rate_reduction: str = "sum",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not weight > 0:
            raise UserError(
                "`weight` of an information bottleneck must be above 0, such "
                f"as 0.005. Received: weight={weight}"
            )
        rdm_losses.check_reduction(rate_reduction)
        self.weight = weight
        self.rate_reduction = rate_reduction
        self.seed = seed
        self.noise = UniformNoise("identity", seed=seed)
        self.density = FactorizedDensity()

    def build(self, shape: tuple) -> None:
        self.density.build(tuple(shape))

    def call(self, embedding: Tensor, training: bool = False) -> Tensor:
        if not training:
            return embedding
        noisy = self.noise(embedding, training=True)
        rate = self.density(noisy)
        if self.rate_reduction == "mean":
            rate /= embedding.shape[-1]
        self.add_loss(self.weight * ops.mean(rate))
        return ops.cast(noisy, embedding.dtype)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return tuple(shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "weight": self.weight,
            "rate_reduction": self.rate_reduction,
            "seed": self.seed,
        }


def with_bottleneck(
    student: keras.Model, weight: float, **options: Any
) -> keras.Model:
    """Returns a student whose embedding passes a bottleneck in training.

    It is a model over the layers of the given one, which stays what it is:
    train the one, export the other, which has neither noise nor density.

    Args:
        student: functional `keras.Model` that ends in a dense classifier.
        weight: see `InformationBottleneck`.
        **options: further arguments of `InformationBottleneck`.

    Returns:
        `keras.Model`.

    Raises:
        UserError: if the student does not end in a dense layer.

    References:
        - CIFD, NeurIPS 2024, sec. 3
    """
    student = endpoints.flattened(student)
    classifier = endpoints.classifier(student)
    if not isinstance(classifier, keras.layers.Dense):
        raise UserError(
            "An information bottleneck lies between the embedding and a dense "
            f"classifier. Received: model {student.name!r}, which has none."
        )
    bottleneck = InformationBottleneck(weight, name="bottleneck", **options)

    def call(layer, *args, **kwargs):
        if layer is classifier:
            args = (bottleneck(args[0]), *args[1:])
        return layer(*args, **kwargs)

    return keras.models.clone_model(
        student, clone_function=lambda layer: layer, call_function=call
    )
