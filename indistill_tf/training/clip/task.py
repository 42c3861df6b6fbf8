"""What all pairs of one run have in common: captions, tokens, scores."""

import dataclasses
import functools
from collections.abc import Sequence

import keras
import numpy as np

from indistill_tf import distribution
from indistill_tf import models
from indistill_tf.data.captions.captioned import CaptionedSplit
from indistill_tf.data.captions.captioned import CaptionSet
from indistill_tf.data.captions.pairs import Pairs
from indistill_tf.data.captions.pairs import embed
from indistill_tf.data.captions.pairs import share_of
from indistill_tf.data.captions.tokens import Tokenizer
from indistill_tf.distribution import replicas
from indistill_tf.errors import UserError
from indistill_tf.evaluation import cost
from indistill_tf.evaluation import zero_shot
from indistill_tf.hints import Path


@dataclasses.dataclass(frozen=True)
class PairTask:
    """Captioned images, and how their texts are read.

    Attributes:
        captions: `CaptionSet`.
        tokenizer: `Tokenizer`.
        context_length: int, tokens a text.
        templates: strings, see `indistill_tf.evaluation.class_embeddings`.
    """

    captions: CaptionSet
    tokenizer: Tokenizer
    context_length: int = 77
    templates: tuple = zero_shot.TEMPLATES

    def tokens(self, texts: Sequence[str]) -> np.ndarray:
        """Returns the ids of texts, int32 `[N, context_length]`.

        Args:
            texts: sequence of N strings.
        """
        return self.tokenizer(texts, self.context_length)

    def pairs(self, split: CaptionedSplit) -> Pairs:
        """Returns the `Pairs` of a `CaptionedSplit`.

        Args:
            split: one of the captions' splits.
        """
        return Pairs(
            split, self.tokens(split.captions), self.captions.preprocessing
        )

    @functools.cached_property
    def train(self):
        """The `Pairs` to train on."""
        return self.pairs(self.captions.train)

    def towers(
        self,
        image: object,
        text: object,
        embedding_size: int | None = None,
        weights: Path | None = None,
    ) -> tuple[keras.Model, keras.Model]:
        """Returns a new pair of towers, or one from files.

        Args:
            image: a name that `indistill_tf.models.build` knows, or a
                `.keras` file of a tower.
            text: a name that `indistill_tf.models.build_text` knows, or a
                `.keras` file of a tower.
            embedding_size: int, see `indistill_tf.models.tower`, of towers by
                name. Defaults to None.
            weights: file of both towers' weights, such as open_clip's, see
                `indistill_tf.models.load_weights`. Defaults to None.

        Raises:
            UserError: if a name is unknown, or a file does not fit the
                captions.
        """
        towers = (
            self._tower(image, self._image_network, embedding_size),
            self._tower(text, self._text_network, embedding_size),
        )
        expected = (self.captions.input_shape, (self.context_length,))
        for tower, shape in zip(towers, expected, strict=True):
            if tuple(tower.input_shape[1:]) != tuple(shape):
                raise UserError(
                    f"Tower {tower.name!r} reads {tower.input_shape[1:]}, but "
                    f"the captions bring {tuple(shape)}."
                )
            if weights is not None:
                models.load_weights(tower, weights)
        return towers

    def score(self, image: object, text: object) -> dict:
        """Measures a pair of towers on the test split.

        Args:
            image: `keras.Model` of images.
            text: `keras.Model` of token ids.

        Returns:
            Dict of JSON-ready scores: recalls, costs, and where there are
            classes `zero_shot_accuracy`.
        """
        test = self.captions.test
        images, texts = embed(image, text, self.pairs(test))
        scores = zero_shot.image_text_retrieval(
            images, texts, test.captions, test.image_of
        )
        if self.captions.class_names and test.labels is not None:
            classes = zero_shot.class_embeddings(
                lambda texts: distribution.predict(
                    text, share_of(self.tokens(texts))
                ),
                self.captions.class_names,
                self.templates,
            )
            accuracy = zero_shot.zero_shot_accuracy(
                images, classes, test.labels
            )
            scores = {"zero_shot_accuracy": accuracy, **scores}
        towers = image, text
        flops = distribution.on_chief(lambda: [*map(cost.flops, towers)])
        parameters = [*map(cost.parameters, towers)]
        return {**scores, "parameters": parameters, "flops": flops}

    def _tower(self, name, build, embedding_size):
        if str(name).endswith(".keras"):
            return models.load_model(name)
        return models.tower(build(name), embedding_size)

    def _image_network(self, name):
        # The classifier is left out with what follows the embedding.
        return models.build(
            name,
            self.captions.input_shape,
            num_classes=2,
            synchronized=replicas() > 1,
        )

    def _text_network(self, name):
        return models.build_text(
            name,
            context_length=self.context_length,
            vocabulary_size=self.tokenizer.vocabulary_size,
        )
