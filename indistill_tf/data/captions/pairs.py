"""Batches of images with one caption each, for training and evaluation."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from indistill_tf import distribution
from indistill_tf.data.augmentation import Augmentation
from indistill_tf.data.augmentation import Crop
from indistill_tf.data.augmentation import check_kind
from indistill_tf.data.captions.captioned import CaptionedSplit
from indistill_tf.data.order import Order
from indistill_tf.data.order import on_host
from indistill_tf.data.pipeline import ahead
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.errors import UserError
from indistill_tf.finite import check_outputs


@dataclasses.dataclass(frozen=True)
class Pairs:
    """A split as towers read it, with what a teacher says of it.

    Attributes:
        split: `CaptionedSplit` of N images and M captions.
        tokens: int32 array `[M, T]`, the captions' ids.
        preprocessing: `Preprocessing`.
        image_embeddings: float array `[N, D]` of a teacher's, or None.
        text_embeddings: float array `[M, D]` of a teacher's, or None.
    """

    split: CaptionedSplit
    tokens: np.ndarray
    preprocessing: Preprocessing
    image_embeddings: np.ndarray | None = None
    text_embeddings: np.ndarray | None = None

    def steps(self, batch_size: int) -> int:
        """Returns the batches of an epoch, of which none is smaller.

        Args:
            batch_size: int.

        Raises:
            UserError: if there are fewer images than in a batch.
        """
        steps = len(self.split) // batch_size
        if not steps:
            raise UserError(
                f"A batch of {batch_size} pairs does not fit into "
                f"{len(self.split)} images. Lower `batch_size`."
            )
        return steps

    def training(
        self, order: Order, augmentation: Augmentation
    ) -> tf.data.Dataset:
        """Returns shuffled batches; give `fit` the `steps`.

        Order, augmentation and the caption that an image comes with, one of
        its own at random, depend on the order's seed and the epoch's number
        alone. A teacher's embeddings are of the whole image.

        Args:
            order: `Order` that drops the remainder of an epoch.
            augmentation: `Crop`.

        Returns:
            `tf.data.Dataset` of tuples of one dict: `"image"`
            `[N, H, W, C]` float32, `"tokens"` `[N, T]`, and where there is a
            teacher `"image_embedding"` and `"text_embedding"` `[N, D]`.

        Raises:
            UserError: if the order keeps the remainder, or the augmentation is
                another.
        """
        check_kind(augmentation, Crop, "in memory")
        if not order.drop_remainder:
            raise UserError(
                "Pairs are told from each other in batches of one size. "
                "Received: `drop_remainder=False`. Use `drop_remainder=True`."
            )
        arrays = self._arrays()

        def draw(seed, index):
            crops = augmentation.draw(seed, tf.shape(index)[0])
            return index, _one_caption(arrays, seed, index), crops

        def load(index, text, crops):
            images = tf.gather(arrays["images"], index)
            image = augmentation.apply(images, crops)
            batch = {
                "image": self.preprocessing.normalize(image),
                "tokens": tf.gather(arrays["tokens"], text),
            }
            if self.image_embeddings is not None:
                batch["image_embedding"] = tf.gather(
                    arrays["image_embeddings"], index
                )
                batch["text_embedding"] = tf.gather(
                    arrays["text_embeddings"], text
                )
            return (batch,)

        whole = order.shuffled_batches(len(self.split)).map(draw)
        batches = order.shares(whole)
        batches = order.from_first_step(batches)
        return ahead(batches.map(load, num_parallel_calls=tf.data.AUTOTUNE))

    def _arrays(self):
        arrays = {
            "images": self.split.images,
            "tokens": self.tokens,
            "counts": np.asarray(self.split.counts, "int32"),
            "first": self.split.first_captions.astype("int32"),
        }
        if self.image_embeddings is not None:
            arrays["image_embeddings"] = self.image_embeddings
            arrays["text_embeddings"] = self.text_embeddings
        return {name: on_host(array) for name, array in arrays.items()}


def _one_caption(arrays, seed, index):
    """Returns which caption each image of a batch comes with."""
    counts = tf.gather(arrays["counts"], index)
    # Not the numbers that crops are drawn from.
    draw = tf.random.stateless_uniform(
        tf.shape(index), tf.random.fold_in(seed, 1)
    )
    offset = tf.cast(draw * tf.cast(counts, tf.float32), tf.int32)
    return tf.gather(arrays["first"], index) + tf.minimum(offset, counts - 1)


def share_of(
    array: np.ndarray, batch_size: int = 500
) -> Callable[[int, int], tf.data.Dataset]:
    """Returns batches as `indistill_tf.distribution.predict` asks for them.

    Args:
        array: array `[N, ...]`.
        batch_size: int. Defaults to 500.

    Returns:
        Function from a worker's number and the number of workers to its share.
    """

    def batches(*worker):
        rows = array[distribution.share(len(array), *worker)]
        return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)

    return batches


def embed(
    image: keras.Model,
    text: keras.Model,
    pairs: Pairs,
    batch_size: int = 500,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a pair of towers' embeddings of a split, in one pass.

    Args:
        image: `keras.Model` of images.
        text: `keras.Model` of token ids.
        pairs: `Pairs` of N images and M captions.
        batch_size: int. Defaults to 500.

    Returns:
        Tuple of float32 arrays `[N, D]` and `[M, D]`.

    Raises:
        UserError: if one of their numbers is not finite.
    """

    def images(*worker):
        batches = share_of(pairs.split.images, batch_size)(*worker)
        return batches.map(pairs.preprocessing.normalize)

    # Texts that are equal are computed once.
    texts, which = np.unique(pairs.tokens, axis=0, return_inverse=True)
    rows = distribution.predict(text, share_of(texts, batch_size))
    embeddings = distribution.predict(image, images)
    for model, values in ((image, embeddings), (text, rows)):
        check_outputs(values, f"The embeddings of model {model.name!r} are")
    return embeddings.astype("float32"), rows.astype("float32")[which.ravel()]
