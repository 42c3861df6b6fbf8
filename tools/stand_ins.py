"""Small stand-ins for prepared TFDS sets, to try a pipeline out offline."""

import logging

import numpy as np
import tensorflow as tf

from indistill_tf.data.images import readers
from indistill_tf.data.images import tfds_builders
from indistill_tf.data.images.tfds_reader import image_and_label
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.hints import Path
from indistill_tf_tools import official_splits

logger = logging.getLogger("indistill_tf")

# The labels of these splits are secret or there are none: -1.
_UNLABELLED = {("imagenet2012", "test"), ("stl10", "unlabelled")}
# Height and width about which sets without a common size vary.
_SIZE = (375, 500)
# Noise that makes a JPEG file about as large as that of a photograph.
_NOISE = 12.0


def write_tiny(
    name: str,
    data_dir: Path,
    train: int = 128,
    test: int = 64,
    file_format: str = "tfrecord",
    shards: int = 2,
) -> Path:
    """Writes a small set in the place and the format of a prepared TFDS set.

    It has the name, version, features and splits of the official set, so it is
    loaded as that one is; but its pictures are those of the embedded part of
    Fashion-MNIST, tinted by label, resized to the sizes of the official set
    and with noise where these vary. Labels are spread evenly over all classes.
    Nothing measured on it says anything about the official set.

    Args:
        name: a TFDS set of image classification, such as `"imagenet2012"`.
        data_dir: where prepared sets lie.
        train: int, images of the split `train`. Defaults to 128.
        test: int, images of each other split. Defaults to 64.
        file_format: `"tfrecord"` or `"array_record"`. Defaults to
            `"tfrecord"`.
        shards: int, files of each split, at most one an image. Defaults to 2.

    Returns:
        The set's folder, a `pathlib.Path`-like.

    Raises:
        UserError: if there is no such set, it is prepared there already, or it
            has features that no picture can be made for.
    """
    import tensorflow_datasets as tfds

    if file_format not in ("tfrecord", "array_record"):
        raise unknown_name("format", file_format, ("tfrecord", "array_record"))
    official = tfds_builders.find(name, data_dir)
    if official.data_path.exists():
        raise UserError(
            f"{official.data_path} exists, and is not overwritten. Choose "
            "another data_dir for a tiny set."
        )
    keys = image_and_label(official.info, name)
    embedded = readers.EmbeddedReader((32, 32), "pad").split("train")
    pictures = embedded.images[np.argsort(embedded.labels, kind="stable")]
    splits = official_splits.names(official)
    counts = [train if split == "train" else test for split in splits]
    text = (
        f"A tiny stand-in for {name}, not the set itself: {counts} images in "
        f"{', '.join(splits)}, made of Fashion-MNIST's pictures."
    )
    tfds.disable_progress_bar()
    tfds.dataset_builders.store_as_tfds_dataset(
        name=official.name,
        version=official.version,
        config=official.builder_config and official.builder_config.name,
        features=official.info.features,
        split_datasets={
            split: _Examples(
                official.info.features,
                keys,
                pictures,
                split,
                count,
                (official.name, split) not in _UNLABELLED,
            )
            for split, count in zip(splits, counts, strict=True)
        },
        data_dir=data_dir,
        description=text,
        file_format=file_format,
        download_config=tfds.download.DownloadConfig(
            num_shards=min(shards, *counts)
        ),
    )
    (official.data_path / "TINY.txt").write_text(f"{text}\n")
    logger.info("%s: %s", official.data_path, text)
    return official.data_path


class _Examples:
    """The rows of a split, as often as they are asked for."""

    def __init__(self, features, keys, pictures, split, count, labelled):
        self.features, self.pictures = features, pictures
        self.image, self.label = keys
        self.split, self.count, self.labelled = split, count, labelled
        # Other splits hold other pictures, as long as there are enough.
        self.offset = 0 if split == "train" else 500

    def __iter__(self):
        classes = self.features[self.label].num_classes
        for index in range(self.count):
            label = index * classes // self.count
            key = f"tiny_{self.split}_{index:08d}"
            yield key, self._row(index, label, key)

    def _row(self, index, label, key):
        row = {
            name: _filler(name, feature, label, key)
            for name, feature in self.features.items()
            if name != self.image
        }
        row[self.label] = label if self.labelled else -1
        image = self._picture(index, label)
        row[self.image] = image
        if None in self.features[self.image].shape:
            # Official sets of photographs keep their JPEG files as they came.
            row[self.image] = tf.io.encode_jpeg(image, quality=95).numpy()
        for name, feature in self.features.items():
            if name != self.image and _kind(feature) == "Image":
                channels = feature.shape[-1]
                row[name] = np.zeros((*image.shape[:2], channels), "uint8")
        return row

    def _picture(self, index, label):
        """The index-th picture of a class, in the colour of the label."""
        rng = np.random.default_rng([self.offset, index])
        shape = self.features[self.image].shape
        # A thousand pictures of each of ten classes.
        number = label % 10 * 1000 + (self.offset + index) % 1000
        tint = np.random.default_rng(label).uniform(0.4, 1.0, shape[-1])
        size, noise = shape[:2], 0.0
        if None in size:
            scale = rng.uniform(0.8, 1.2, 2)
            size = np.round(np.array(_SIZE) * scale).astype(int)
            size, noise = size[:: rng.choice([1, 1, 1, -1])], _NOISE
        grey = tf.image.resize(self.pictures[number], size, antialias=True)
        image = grey.numpy() * tint
        image = image + rng.normal(0, noise, image.shape)
        return np.clip(np.round(image), 0, 255).astype("uint8")


def _filler(name, feature, label, key):
    """A value for a feature that is neither the image nor its label."""
    kind = _kind(feature)
    if kind == "Text":
        return f"{key}.JPEG" if "file" in name else key
    if kind == "ClassLabel":
        return label % feature.num_classes
    if kind == "BBoxFeature":
        import tensorflow_datasets as tfds

        return tfds.features.BBox(ymin=0.0, xmin=0.0, ymax=1.0, xmax=1.0)
    if kind in ("Image", "Scalar", "Tensor") and None not in feature.shape[2:]:
        shape = [side or 1 for side in feature.shape]
        return np.zeros(shape, feature.np_dtype)
    raise UserError(
        f"A tiny set cannot be made: its feature {name!r} is of kind {kind}. "
        "Choose another set."
    )


def _kind(feature):
    return type(feature).__name__
