"""Reading image sets into memory, whatever they are stored in."""

import dataclasses
import pathlib
import re
import zipfile

import keras
import numpy as np
import tensorflow as tf

from indistill_tf.data.preprocessing import fit_size
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

EMBEDDED = pathlib.Path(__file__).parent / "embedded" / "fashion_mnist.npz"


@dataclasses.dataclass(frozen=True)
class Split:
    """Images in memory.

    Attributes:
        images: uint8 array `[N, H, W, C]`.
        labels: int32 array `[N]`.
    """

    images: np.ndarray
    labels: np.ndarray

    def first_classes(self, count):
        """Returns the part whose labels are below `count`.

        Args:
            count: int.
        """
        chosen = self.labels < count
        return Split(self.images[chosen], self.labels[chosen])


def make_reader(name, data_dir, image_size, resize):
    """Returns the reader of an image set.

    Args:
        name: `"embedded"`, `"folder"` or a TFDS name.
        data_dir: where prepared sets or the folder lie.
        image_size: tuple `(H, W)`, or None for the images' own.
        resize: `"bilinear"` or `"pad"`.

    Returns:
        An object with `class_names` and `split(spec)`, which reads a `Split`.

    Raises:
        UserError: if there is no such set.
    """
    if name == "embedded":
        return EmbeddedReader(image_size, resize)
    if name == "folder":
        return FolderReader(data_dir, image_size, resize)
    return TfdsReader(name, data_dir, image_size, resize)


class EmbeddedReader:
    """The images that come with the package."""

    def __init__(self, image_size, resize):
        try:
            with open(EMBEDDED, "rb") as opened, np.load(opened) as file:
                self.arrays = dict(file)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(
                f"The embedded image set {EMBEDDED} is missing or damaged "
                f"({error}). Install the package again."
            ) from error
        self.class_names = [str(name) for name in self.arrays["class_names"]]
        self.image_size, self.resize = image_size, resize

    def split(self, spec):
        split, part = _parse_split(spec, ("train", "test"))
        labels = self.arrays[f"{split}_labels"].astype("int32")
        part = slice(*part(len(labels)))
        images = self.arrays[f"{split}_images"][part]
        images = fit_size(images, self.image_size, self.resize)
        return Split(np.asarray(images), labels[part])


class FolderReader:
    """A folder with one sub-folder a split and in it one a class."""

    def __init__(self, data_dir, image_size, resize):
        if not data_dir or not pathlib.Path(data_dir).is_dir():
            raise UserError(
                "Dataset 'folder' needs data_dir, a folder with train/ and "
                f"test/, each with a folder per class. Received: {data_dir}"
            )
        if image_size is None:
            raise UserError(
                "Dataset 'folder' needs image_size: its images may differ in "
                "size (--image_size=32)."
            )
        self.root = pathlib.Path(data_dir)
        self.image_size, self.resize = image_size, resize
        self.splits = sorted(p.name for p in self.root.iterdir() if p.is_dir())
        first = self.root / (self.splits or ["train"])[0]
        self.class_names = sorted(p.name for p in first.glob("*") if p.is_dir())
        if len(self.class_names) < 2:
            raise UserError(
                f"{first} holds {len(self.class_names)} class folders; a "
                "classification set needs two or more."
            )

    def split(self, spec):
        split, part = _parse_split(spec, self.splits)
        try:
            dataset = keras.utils.image_dataset_from_directory(
                self.root / split,
                class_names=self.class_names,
                image_size=self.image_size,
                batch_size=None,
                shuffle=False,
                interpolation="bilinear",
                pad_to_aspect_ratio=self.resize == "pad",
                verbose=False,
            )
            images = collect(dataset, self.image_size, self.resize)
        except Exception as error:
            raise UserError(
                f"The images of {self.root / split} cannot be read: "
                f"{str(error).splitlines()[0]}"
            ) from error
        # The folder lists class after class; a slice must not cut classes off.
        order = np.random.default_rng(0).permutation(len(images.labels))
        order = order[slice(*part(len(order)))]
        return Split(images.images[order], images.labels[order])


class TfdsReader:
    """A set of TensorFlow Datasets, prepared or downloadable."""

    def __init__(self, name, data_dir, image_size, resize):
        self.builder = _tfds_builder(name, data_dir)
        self.image, self.label = _image_and_label(self.builder.info, name)
        features = self.builder.info.features
        self.class_names = features[self.label].names
        shape = features[self.image].shape
        if image_size is None and None in shape:
            raise UserError(
                f"The images of {name!r} differ in size; say which size the "
                "network reads (--image_size=64)."
            )
        self.image_size, self.resize = image_size or shape[:2], resize

    def split(self, spec):
        _parse_split(spec, self.builder.info.splits)
        dataset = self.builder.as_dataset(split=spec, shuffle_files=False)
        pairs = dataset.map(lambda row: (row[self.image], row[self.label]))
        return collect(pairs, self.image_size, self.resize)


def _image_and_label(info, name):
    """Returns the keys of a TFDS set's image and class label."""
    import tensorflow_datasets as tfds

    keys = []
    for kind in (tfds.features.Image, tfds.features.ClassLabel):
        found = [
            key
            for key, feature in info.features.items()
            if isinstance(feature, kind)
        ]
        if not found:
            raise UserError(
                f"TFDS set {name!r} has no {kind.__name__}, so it is no "
                f"image-classification set. It has: {', '.join(info.features)}."
            )
        keys.append(found[0])
    return keys


def _tfds_builder(name, data_dir):
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        raise unknown_name(
            "dataset",
            name,
            ("embedded", "folder", "or any TFDS name, such as cifar10"),
        ) from None
    if not builder.data_path.exists():
        try:
            builder.download_and_prepare()
        except Exception as error:
            raise UserError(
                f"TFDS set {name!r} is not prepared in "
                f"{builder.data_path.parent} and cannot be downloaded "
                f"({type(error).__name__}). Prepare it where there is a "
                "network, and name its folder in data_dir."
            ) from error
    return builder


def collect(dataset, image_size, resize):
    """Reads a dataset of single images into memory at one size.

    Args:
        dataset: finite dataset of `(image [H, W, C], label)`.
        image_size: tuple `(H, W)`.
        resize: `"bilinear"` or `"pad"`.

    Returns:
        `Split`.
    """

    def sized(image, label):
        image = fit_size(image[None], image_size, resize)[0]
        return tf.cast(image, tf.uint8), tf.cast(label, tf.int32)

    batches = dataset.map(sized, num_parallel_calls=tf.data.AUTOTUNE)
    batches = list(batches.batch(1000).as_numpy_iterator())
    if not batches:
        return Split(np.zeros((0, *image_size, 3), "uint8"), np.zeros(0, "i"))
    images, labels = zip(*batches, strict=True)
    return Split(np.concatenate(images), np.concatenate(labels))


def _parse_split(spec, splits):
    """Returns a split's name and a function from its size to (first, last)."""
    match = re.fullmatch(r"(\w+)(?:\[(\d*%?):(\d*%?)\])?", spec)
    if not match or match[1] not in splits:
        raise UserError(
            f"Unknown split {spec!r}. Expected one of {', '.join(splits)}, or "
            f"a slice of one such as '{next(iter(splits), 'train')}[:90%]'."
        )

    def bound(text, size, default):
        if not text:
            return default
        if text.endswith("%"):
            return round(int(text[:-1]) * size / 100)
        return int(text)

    return match[1], lambda size: (
        bound(match[2], size, 0),
        bound(match[3], size, size),
    )
