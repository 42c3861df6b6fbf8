"""Batches of images with one caption each, for training and evaluation."""

import dataclasses

import numpy as np
import tensorflow as tf

from indistill_tf.data.augmentation import crop_and_flip
from indistill_tf.data.captions.captioned import CaptionedSplit
from indistill_tf.data.order import Order
from indistill_tf.data.order import on_host
from indistill_tf.data.pipeline import ahead
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.errors import UserError


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

    def steps(self, batch_size):
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
                f"{len(self.split)} images. Lower --batch_size."
            )
        return steps

    def training(self, batch_size, seed, first_epoch=0, padding=0, flip=False):
        """Returns shuffled batches without end; give `fit` the `steps`.

        Order, augmentation and the caption that an image comes with, one of
        its own at random, depend on `seed` and the epoch's number alone. A
        teacher's embeddings are of the whole image.

        Args:
            batch_size: int, N.
            seed: int.
            first_epoch: int, counted from 0. Defaults to 0.
            padding: int, see `crop_and_flip`. Defaults to 0.
            flip: bool, see `crop_and_flip`. Defaults to False.

        Returns:
            `tf.data.Dataset` of tuples of one dict: `"image"`
            `[N, H, W, C]` float32, `"tokens"` `[N, T]`, and where there is a
            teacher `"image_embedding"` and `"text_embedding"` `[N, D]`.
        """
        order = Order(batch_size, seed, first_epoch, drop_remainder=True)
        arrays = self._arrays()

        def load(seed, index):
            text = _one_caption(arrays, seed, index)
            image = tf.gather(arrays["images"], index)
            if padding or flip:
                image = crop_and_flip(image, seed, padding, flip)
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

        batches = order.shuffled_batches(len(self.split))
        return ahead(batches.map(load, num_parallel_calls=tf.data.AUTOTUNE))

    def _arrays(self):
        found = {
            "images": self.split.images,
            "tokens": self.tokens,
            "counts": np.asarray(self.split.counts, "int32"),
            "first": self.split.first_captions.astype("int32"),
        }
        if self.image_embeddings is not None:
            found["image_embeddings"] = self.image_embeddings
            found["text_embeddings"] = self.text_embeddings
        return {name: on_host(array) for name, array in found.items()}


def _one_caption(arrays, seed, index):
    """Returns which caption each image of a batch comes with."""
    counts = tf.gather(arrays["counts"], index)
    # Not the numbers that crops are drawn from.
    draw = tf.random.stateless_uniform(
        tf.shape(index), tf.random.fold_in(seed, 1)
    )
    offset = tf.cast(draw * tf.cast(counts, tf.float32), tf.int32)
    return tf.gather(arrays["first"], index) + tf.minimum(offset, counts - 1)


def embed(image, text, pairs, batch_size=500):
    """Returns a pair of towers' embeddings of a split, in one pass.

    Args:
        image: `keras.Model` of images.
        text: `keras.Model` of token ids.
        pairs: `Pairs` of N images and M captions.
        batch_size: int. Defaults to 500.

    Returns:
        Tuple of float32 arrays `[N, D]` and `[M, D]`.
    """
    images = tf.data.Dataset.from_tensor_slices(pairs.split.images)
    images = images.batch(batch_size).map(pairs.preprocessing.normalize)
    # Texts that are equal are computed once.
    texts, which = np.unique(pairs.tokens, axis=0, return_inverse=True)
    found = text.predict(texts, batch_size=batch_size, verbose=0)
    return (
        image.predict(images, verbose=0).astype("float32"),
        found.astype("float32")[which.ravel()],
    )
