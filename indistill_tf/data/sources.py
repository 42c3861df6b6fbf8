"""Image sets: embedded, TFDS, a folder of images, or the user's own dataset."""

import dataclasses
import pathlib
import re
import zipfile

import numpy as np

from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.data.preprocessing import fit_size
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

EMBEDDED = pathlib.Path(__file__).parent / "embedded" / "fashion_mnist.npz"
_IMAGENET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_FASHION = dict(
    image_size=(32, 32), mean=(0.2860,), std=(0.3530,), resize="pad"
)

# What the papers use for each set; other sets are read at their own size and
# normalised by the mean and deviation of their training images.
DEFAULTS = {
    "embedded": _FASHION,
    "fashion_mnist": _FASHION,
    "cifar10": dict(
        mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),
        std=(63.0 / 255, 62.1 / 255, 66.7 / 255),
    ),
    "cifar100": dict(
        mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)
    ),
    "caltech_birds2011": dict(image_size=(48, 48), **_IMAGENET),
}


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


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images of one task, with what a network must know to read them.

    Attributes:
        name: string.
        train: `Split` to train on, and the database of retrieval.
        test: `Split` to report on, and the queries of retrieval.
        validation: `Split` to watch in training, or None.
        class_names: tuple of strings.
        preprocessing: `Preprocessing`.
    """

    name: str
    train: Split
    test: Split
    validation: Split | None
    class_names: tuple
    preprocessing: Preprocessing

    @property
    def num_classes(self):
        """The number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self):
        """`(H, W, C)` of the network's input."""
        return self.preprocessing.input_shape

    def check(self, model):
        """Checks that a model reads these images and knows their classes.

        Args:
            model: `keras.Model` from images to logits.

        Raises:
            UserError: if not.
        """
        expected = (self.input_shape, self.num_classes)
        found = (tuple(model.input_shape[1:]), model.output_shape[-1])
        if found != expected:
            raise UserError(
                f"Model {model.name!r} reads images {found[0]} of {found[1]} "
                f"classes, but {self.name!r} has {expected[0]} and "
                f"{expected[1]}. Choose another model or data set, or another "
                "image size (--image_size)."
            )

    def describe(self):
        """Returns what a run's record says of the images, JSON-ready."""
        return {
            "name": self.name,
            "train": len(self.train.labels),
            "test": len(self.test.labels),
            "class_names": list(self.class_names),
            "preprocessing": dataclasses.asdict(self.preprocessing),
        }


def load(
    name="embedded",
    data_dir=None,
    image_size=None,
    resize=None,
    classes=None,
    train_split="train",
    validation_split=None,
    test_split="test",
):
    """Loads an image set into memory.

    Args:
        name: `"embedded"` (12,000 images of Fashion-MNIST that come with the
            package), `"folder"`, or a TFDS name such as `"cifar10"`. Defaults
            to `"embedded"`.
        data_dir: for TFDS, where prepared sets lie; for `"folder"`, a folder
            with one sub-folder a split and in it one a class.
        image_size: int or tuple `(H, W)` that the network reads. Defaults to
            the papers' size for the set, else to the images' own.
        resize: `"bilinear"` or `"pad"`. Defaults to the set's.
        classes: int, keep the first classes only. Defaults to all.
        train_split: string, may be a slice such as `"train[:90%]"`.
        validation_split: string, such as `"train[90%:]"`. Defaults to none.
        test_split: string. Defaults to `"test"`.

    Returns:
        `ImageSet`.

    Raises:
        UserError: if the set, a split or a file does not exist or does not
            fit.
    """
    defaults = DEFAULTS.get(name, {})
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    image_size = image_size or defaults.get("image_size")
    resize = resize or defaults.get("resize", "bilinear")
    read = _reader(name, data_dir, image_size, resize)
    specs = [train_split, test_split, validation_split]
    splits = [read.split(spec) if spec else None for spec in specs]
    class_names = read.class_names
    if classes is not None:
        if not 2 <= classes <= len(class_names):
            raise UserError(
                f"{name!r} has {len(class_names)} classes; the first "
                f"{classes} cannot be chosen."
            )
        class_names = class_names[:classes]
        splits = [split and split.first_classes(classes) for split in splits]
    for spec, split in zip(specs, splits, strict=True):
        if split is not None and not len(split.labels):
            raise UserError(f"Split {spec!r} of {name!r} holds no image.")
    train, test, validation = splits
    return ImageSet(
        name=name,
        train=train,
        test=test,
        validation=validation,
        class_names=tuple(class_names),
        preprocessing=_preprocessing(train, defaults, resize),
    )


def from_datasets(
    name, train, test, class_names, image_size, resize="bilinear"
):
    """Makes an image set of a user's own `tf.data.Dataset`s.

    Args:
        name: string.
        train: finite, unbatched dataset of `(image uint8 [H, W, C], label)`.
        test: the same.
        class_names: sequence of strings.
        image_size: tuple `(H, W)` that the network reads.
        resize: `"bilinear"` or `"pad"`. Defaults to `"bilinear"`.

    Returns:
        `ImageSet`, normalised by the mean and deviation of `train`.
    """
    train = _collect(train, image_size, resize)
    return ImageSet(
        name=name,
        train=train,
        test=_collect(test, image_size, resize),
        validation=None,
        class_names=tuple(class_names),
        preprocessing=_preprocessing(train, {}, resize),
    )


def _preprocessing(train, defaults, resize):
    if "mean" in defaults:
        mean, std = defaults["mean"], defaults["std"]
    else:
        # Means of rows first: a float64 copy of a whole set may not fit.
        scaled = [image.mean(axis=(0, 1)) / 255 for image in train.images]
        mean = np.mean(scaled, axis=0)
        squares = [
            np.square(image / 255 - mean).mean(axis=(0, 1))
            for image in train.images
        ]
        std = np.maximum(np.sqrt(np.mean(squares, axis=0)), 1 / 255)
    return Preprocessing(
        image_size=tuple(train.images.shape[1:3]),
        mean=tuple(float(value) for value in mean),
        std=tuple(float(value) for value in std),
        resize=resize,
    )


def _reader(name, data_dir, image_size, resize):
    if name == "embedded":
        return _Embedded(image_size, resize)
    if name == "folder":
        return _Folder(data_dir, image_size, resize)
    return _Tfds(name, data_dir, image_size, resize)


class _Embedded:
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


class _Folder:
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
        import keras

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
            images = _collect(dataset, self.image_size, self.resize)
        except Exception as error:
            raise UserError(
                f"The images of {self.root / split} cannot be read: "
                f"{str(error).splitlines()[0]}"
            ) from error
        # The folder lists class after class; a slice must not cut classes off.
        order = np.random.default_rng(0).permutation(len(images.labels))
        order = order[slice(*part(len(order)))]
        return Split(images.images[order], images.labels[order])


class _Tfds:
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
        return _collect(pairs, self.image_size, self.resize)


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
            ("embedded", "folder", *DEFAULTS, "or any TFDS name"),
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


def _collect(dataset, image_size, resize):
    """Reads a dataset of single images into memory at one size."""
    import tensorflow as tf

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
