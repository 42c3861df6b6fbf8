"""A pair of students, of images and of texts, and what trains it."""

import keras
from keras import ops

from indistill_tf import unit_length
from indistill_tf.cifd.clip import EmbeddingMatching
from indistill_tf.cifd.clip import Temperature
from indistill_tf.cifd.clip import contrastive_loss
from indistill_tf.distribution import AnyStrategy
from indistill_tf.distribution import gathered
from indistill_tf.errors import UserError
from indistill_tf.finite_training import FiniteTraining
from indistill_tf.hints import Tensor

_CONTRASTIVE, _RATE = "loss/contrastive", "loss/rate"


@keras.saving.register_keras_serializable(package="indistill_tf")
class PairDistiller(FiniteTraining, AnyStrategy, keras.Model):
    """Trains an image and a text tower together, from a teacher pair or alone.

    The loss is `contrastive_weight` times the contrastive one, plus what the
    matchings say, plus the rate of noisy embeddings where a tower has an
    `InformationBottleneck`. Without matchings it is contrastive training as
    CLIP's. The teacher is not here: its embeddings come with the data, so that
    its towers run once over the data and not in every step.

    Train it with `fit`. Pairs of a batch are told from each other, also from
    those of other replicas, so batches should be equally large. Under a
    `tf.distribute` strategy build towers and distiller in its scope; batches
    are the global ones.

    Args:
        image: `keras.Model` from images `[N, H, W, C]` to embeddings
            `[N, D]`.
        text: `keras.Model` from token ids `[N, T]` to embeddings `[N, D]`.
        image_matching: `EmbeddingMatching` of the images, or None. Defaults
            to None.
        text_matching: the same of the texts.
        contrastive_weight: float. Defaults to None: 0.005, the paper's, with a
            matching, and 1 without.
        name: string. Defaults to `"pair"`.

    Call arguments:
        inputs: dict of `"image"` `[N, H, W, C]` and `"tokens"` `[N, T]`, and
            for a matching `"image_embedding"` or `"text_embedding"`
            `[N, D]`, the teacher's.
        training: bool. Defaults to False.

    Returns:
        Dict of `"image"` and `"text"`, embeddings `[N, D]`, not normalised.

    Raises:
        UserError: if the towers' embeddings differ in width.

    Example:

    ```python
    pair = PairDistiller(image, text, EmbeddingMatching(), EmbeddingMatching())
    pair.compile(optimizer=keras.optimizers.AdamW(1e-3))
    pair.fit(batches, epochs=32)
    ```

    References:
        - CIFD, NeurIPS 2024, eq. 13
    """

    def __init__(
        self,
        image: keras.Model,
        text: keras.Model,
        image_matching: EmbeddingMatching | None = None,
        text_matching: EmbeddingMatching | None = None,
        contrastive_weight: float | None = None,
        name: str = "pair",
    ) -> None:
        super().__init__(name=name)
        if image.output_shape != text.output_shape:
            raise UserError(
                "The towers of a pair need embeddings of one width. Received: "
                f"{image.output_shape[-1]} of images and "
                f"{text.output_shape[-1]} of texts."
            )
        self.image, self.text = image, text
        self.matchings = {
            name: matching
            for name, matching in (
                ("image", image_matching),
                ("text", text_matching),
            )
            if matching is not None
        }
        if contrastive_weight is None:
            contrastive_weight = 0.005 if self.matchings else 1.0
        self.contrastive_weight = contrastive_weight
        self.temperature = Temperature(name="temperature")
        self._trackers = {
            name: keras.metrics.Mean(name)
            for name in (
                _CONTRASTIVE,
                *(f"loss/{name}" for name in self.matchings),
                _RATE,
                "accuracy",
            )
        }
        # All of its parts are.
        self.built = True

    @property
    def metrics(self) -> list:
        """The loss and its parts, without those of the frozen modules."""
        return [self._loss_tracker, *self._trackers.values()]

    def call(self, inputs: dict, training: bool = False) -> dict[str, Tensor]:
        return {
            "image": self.image(inputs["image"], training=training),
            "text": self.text(inputs["tokens"], training=training),
        }

    def compute_loss(
        self,
        x: dict | None = None,
        y: Tensor | None = None,
        y_pred: dict | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Returns the loss of a batch.

        Args:
            x: see the class.
            y: unused: pairs have no labels.
            y_pred: what `call` returns.
            sample_weight: must be None.
            training: bool, whether guides are cut. Defaults to True.

        Returns:
            Scalar, already divided by the number of replicas.

        Raises:
            UserError: if a teacher's embeddings are missing from the data, or
                samples are weighted.
        """
        del y
        if sample_weight is not None:
            raise UserError(
                "Pairs are compared with each other and cannot be weighted. "
                "Received: `sample_weight`. Leave it out."
            )
        # The loss of the whole batch, on every replica.
        image, text = gathered((y_pred["image"], y_pred["text"]))
        contrastive = contrastive_loss(image, text, self.temperature.value())
        parts = {_CONTRASTIVE: contrastive}
        loss = self.contrastive_weight * contrastive
        for name, matching in self.matchings.items():
            embedding = _of_teacher(x, f"{name}_embedding")
            value = matching(embedding, y_pred[name], training=training)
            parts[f"loss/{name}"] = value
            loss += value
        # What the bottlenecks added.
        rate = sum(self.losses, start=ops.zeros(()))
        parts[_RATE] = rate
        parts["accuracy"] = _accuracy(image, text)
        for name, value in parts.items():
            self._trackers[name].update_state(value)
        return (loss + rate) / self.distribute_strategy.num_replicas_in_sync


def _of_teacher(inputs, name):
    if name not in inputs:
        raise UserError(
            f"The teacher's {name!r} is missing from the inputs, which have: "
            f"{', '.join(inputs)}. Give fit the teacher's embeddings too."
        )
    return inputs[name]


def _accuracy(image, text):
    """Returns how many images of a batch are nearest to their own text."""
    similarity = ops.matmul(
        unit_length.of_tensor(image),
        ops.transpose(unit_length.of_tensor(text)),
    )
    nearest = ops.argmax(similarity, axis=1)
    own = ops.arange(ops.shape(nearest)[0], dtype=nearest.dtype)
    return ops.mean(ops.cast(nearest == own, "float32"))
