"""Images a second of the pipeline from JPEG files to batches."""

import tempfile

import tensorflow as tf

from indistill_tf import data
from indistill_tf_tools import stand_ins
from indistill_tf_tools.benchmarks.paired import paired

_SIZE = 224
_BATCH = 64


def jpeg(data_dir=None, repeats=5, images=512):
    """Measures training batches of ImageNet against the plainest pipeline.

    Ours decodes a random part, resizes it with antialiasing, mirrors,
    normalises. The plain one reads the same records with `tf.io.decode_jpeg`
    and `tf.image.resize`, which squeezes the whole image into the size without
    antialiasing, and normalises. Both give batches of 64 at 224 pixels.

    Args:
        data_dir: where TFDS' `imagenet2012` is prepared. Defaults to None: a
            tiny stand-in is written, with files of about 90 kB.
        repeats: int, see `paired`. Defaults to 5.
        images: int, how many of the training images. Defaults to 512.

    Returns:
        Dict from one row to what `paired` returns, of images a second.
    """
    if data_dir is None:
        with tempfile.TemporaryDirectory() as folder:
            stand_ins.write_tiny("imagenet2012", folder, train=images, test=1)
            return jpeg(folder, repeats, images)
    split = f"train[:{images}]"
    found = data.load(
        "imagenet2012", data_dir, train_split=split, test_split=split
    )
    count = len(found.train)
    ours = data.training_batches(
        found.train,
        found.preprocessing,
        data.Order(_BATCH, seed=0, epochs=1),
        data.RandomResizedCrop(),
    )
    plain = _plain(found.train, found.preprocessing)
    return {
        "JPEG files to batches": paired(
            lambda: _drain(ours), lambda: _drain(plain), count, repeats
        )
    }


def _plain(split, preprocessing):
    mean, std = tf.constant(preprocessing.mean), tf.constant(preprocessing.std)

    def load(encoded, label, position):
        del position
        image = tf.image.resize(tf.io.decode_jpeg(encoded, 3), (_SIZE, _SIZE))
        return (image / 255 - mean) / std, label

    images = split.elements().map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(_BATCH).prefetch(tf.data.AUTOTUNE)


def _drain(dataset):
    for _ in dataset:
        pass
