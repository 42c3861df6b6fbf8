import keras
import numpy as np
import pytest

from indistill_tf.data import CaptionedSplit
from indistill_tf.data import Crop
from indistill_tf.data import Order
from indistill_tf.data import Preprocessing
from indistill_tf.data.captions.pairs import Pairs
from indistill_tf.data.captions.pairs import embed
from indistill_tf.errors import UserError

COUNTS = np.array([1, 3, 2, 1, 2])
WHOLE = Crop(0, False)


@pytest.fixture
def pairs():
    # Every pixel of image i is 10 i, caption j's only token j.
    images = np.zeros((5, 4, 4, 1), "uint8") + 10 * np.arange(5)[
        :, None, None, None
    ].astype("uint8")
    split = CaptionedSplit(images, tuple("abcdefghi"), COUNTS)
    return Pairs(
        split,
        np.arange(9, dtype="int32")[:, None],
        Preprocessing((4, 4), (0.0,), (1 / 255,)),
        image_embeddings=np.arange(5, dtype="float32")[:, None],
        text_embeddings=np.arange(9, dtype="float32")[:, None],
    )


def epochs(pairs, count, first_epoch=0, augmentation=WHOLE):
    order = Order(2, 3, first_epoch, drop_remainder=True)
    batches = pairs.training(order, augmentation)
    batches = batches.take(count * pairs.steps(2))
    return [batch for (batch,) in batches.as_numpy_iterator()]


def test_what_belongs_together_stays_together(pairs):
    seen = set()
    for batch in epochs(pairs, 20):
        image = batch["image"][:, 0, 0, 0].round().astype(int) // 10
        text = batch["tokens"][:, 0]
        np.testing.assert_array_equal(pairs.split.image_of[text], image)
        np.testing.assert_array_equal(batch["image_embedding"][:, 0], image)
        np.testing.assert_array_equal(batch["text_embedding"][:, 0], text)
        assert len(image) == 2 and image[0] != image[1]
        seen |= set(text.tolist())
    # Of an image with several captions each comes up.
    assert seen == set(range(9))


def test_an_epoch_depends_on_its_number_alone(pairs):
    later = epochs(pairs, 2)[2:]
    resumed = epochs(pairs, 1, first_epoch=1)
    for batch, expected in zip(resumed, later, strict=True):
        for name in batch:
            np.testing.assert_array_equal(batch[name], expected[name])


def test_crops(pairs):
    for batch in epochs(pairs, 1, augmentation=Crop(2)):
        assert batch["image"].shape == (2, 4, 4, 1)


def test_embeddings_of_a_split(pairs):
    inputs = keras.Input((4, 4, 1))
    image = keras.Model(inputs, keras.layers.Flatten()(inputs)[:, :2])
    tokens = keras.Input((1,), dtype="int32")
    text = keras.Model(tokens, keras.layers.Embedding(9, 2)(tokens)[:, 0])
    images, texts = embed(image, text, pairs, batch_size=2)
    np.testing.assert_allclose(images[:, 0], 10 * np.arange(5), atol=1e-5)
    table = text.layers[1].embeddings.numpy()
    np.testing.assert_array_equal(texts, table)


def test_smaller_batches_are_refused(pairs):
    with pytest.raises(UserError, match="Received: `drop_remainder=False`"):
        pairs.training(Order(2, 3), Crop())


def test_batch_larger_than_the_set(pairs):
    with pytest.raises(UserError, match="A batch of 6 pairs does not fit"):
        pairs.steps(6)
