"""Reading image sets, whatever they are stored in."""

import pathlib
import re
import zipfile

import keras
import numpy as np
import tensorflow as tf

from indistill_tf.data import encoded_sources
from indistill_tf.data import prepared
from indistill_tf.data.encoded import EncodedSplit
from indistill_tf.data.preprocessing import fit_size
from indistill_tf.data.split import Split
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

EMBEDDED = pathlib.Path(__file__).parent / "embedded" / "fashion_mnist.npz"
_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def make_reader(name, data_dir, image_size, resize, encoded=False):
    """Returns the reader of an image set.

    Args:
        name: `"embedded"`, `"folder"` or a TFDS name.
        data_dir: where prepared sets or the folder lie.
        image_size: tuple `(H, W)`, or None for the images' own.
        resize: a mode of `Preprocessing`.
        encoded: bool, whether images stay in their files. Defaults to False.

    Returns:
        An object with `class_names`, `image_size` and `split(spec)`, which
        reads a `Split` or makes an `EncodedSplit`.

    Raises:
        UserError: if there is no such set.
    """
    if name == "embedded":
        if encoded:
            raise UserError(
                "The embedded set holds pixels, not image files, which "
                "augmentation 'random_resized_crop' reads. Use 'crop'."
            )
        return EmbeddedReader(image_size, resize)
    if name == "folder":
        return FolderReader(data_dir, image_size, resize, encoded)
    return TfdsReader(name, data_dir, image_size, resize, encoded)


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

    def __init__(self, data_dir, image_size, resize, encoded=False):
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
        self.encoded = encoded
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
        if self.encoded:
            return self._encoded(self.root / split, part)
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
        order = _mixed(len(images), part)
        return Split(images.images[order], images.labels[order])

    def _encoded(self, folder, part):
        paths, labels = [], []
        for label, name in enumerate(self.class_names):
            found = sorted(
                path
                for path in (folder / name).rglob("*")
                if path.suffix.lower() in _ENDINGS
            )
            paths += found
            labels += [label] * len(found)
        order = _mixed(len(paths), part)
        source = encoded_sources.FileSource(
            [paths[index] for index in order], np.array(labels, "int32")[order]
        )
        return EncodedSplit(source, channels=3)


class TfdsReader:
    """A set of TensorFlow Datasets, prepared or downloadable."""

    def __init__(self, name, data_dir, image_size, resize, encoded=False):
        self.builder = _tfds_builder(name, data_dir)
        if not self.builder.info.splits:
            raise UserError(
                f"{self.builder.data_path} is not prepared to its end. Delete "
                f"this folder and prepare {name!r} again."
            )
        self.image, self.label = image_and_label(self.builder.info, name)
        features = self.builder.info.features
        self.class_names = features[self.label].names
        shape = features[self.image].shape
        if image_size is None and None in shape:
            raise UserError(
                f"The images of {name!r} differ in size; say which size the "
                "network reads (--image_size=64)."
            )
        self.image_size, self.resize = image_size or shape[:2], resize
        self.channels, self.encoded = shape[-1], encoded

    def split(self, spec):
        _parse_split(spec, self.builder.info.splits)
        prepared.check_shards(self.builder, spec)
        split = self._encoded(spec)
        if self.encoded:
            return split
        with prepared.naming_damage(split):
            return self._in_memory(spec)

    def _encoded(self, spec):
        sources = {
            "tfrecord": encoded_sources.TfRecordSource,
            "array_record": encoded_sources.ArrayRecordSource,
        }
        file_format = self.builder.info.file_format.value
        if file_format not in sources:
            raise UserError(
                f"{self.builder.name!r} is prepared as {file_format}. Prepare "
                f"it in one of these formats: {', '.join(sources)}."
            )
        parse, parse_label = _parsers(
            self.builder.info.features, self.image, self.label
        )
        instructions = self.builder.info.splits[spec].file_instructions
        source = sources[file_format](instructions, parse, parse_label)
        return EncodedSplit(source, self.channels)

    def _in_memory(self, spec):
        import tensorflow_datasets as tfds

        keys = dict.fromkeys((self.image, self.label), True)
        rows = self.builder.as_dataset(
            split=spec,
            shuffle_files=False,
            # A second image, such as a mask, is not decoded.
            decoders=tfds.decode.PartialDecoding(keys),
        )
        pairs = rows.map(lambda row: (row[self.image], row[self.label]))
        return collect(pairs, self.image_size, self.resize)


def image_and_label(info, name):
    """Returns the keys of a TFDS set's image and class label."""
    import tensorflow_datasets as tfds

    keys = []
    for kind in (tfds.features.Image, tfds.features.ClassLabel):
        found = [
            key
            for key, feature in info.features.items()
            if isinstance(feature, kind)
        ]
        # `image` rather than its mask, `label` rather than a coarser one.
        found.sort(key=lambda key: key not in (info.supervised_keys or ()))
        if not found:
            raise UserError(
                f"TFDS set {name!r} has no {kind.__name__}, so it is no "
                f"image-classification set. It has: {', '.join(info.features)}."
            )
        keys.append(found[0])
    image = info.features[keys[0]]
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3):
        raise UserError(
            f"The images of TFDS set {name!r} are of type "
            f"{np.dtype(image.np_dtype)} with {image.shape[-1]} channels; "
            "expected uint8 with 1 or 3. Choose another set."
        )
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


def _parsers(features, image, label):
    """Returns functions from a record to its encoded image and its label.

    Other features, a second image for one, are neither parsed nor decoded.
    """
    import tensorflow_datasets as tfds

    def parser(keys, decoders):
        part = tfds.decode.PartialDecoding(dict.fromkeys(keys, True))
        part = part.extract_features(features)
        return lambda record: part.deserialize_example(
            record, decoders=decoders
        )

    both = parser((image, label), {image: tfds.decode.SkipDecoding()})
    label_alone = parser((label,), None)

    def parse(record):
        row = both(record)
        return row[image], tf.cast(row[label], tf.int32)

    return parse, lambda record: tf.cast(label_alone(record)[label], tf.int32)


def _mixed(size, part):
    """Returns which images of a folder a slice holds, in a mixed order."""
    # The folder lists class after class; a slice must not cut classes off.
    return np.random.default_rng(0).permutation(size)[slice(*part(size))]


def collect(dataset, image_size, resize):
    """Reads a dataset of single images into memory at one size.

    Args:
        dataset: finite dataset of `(image [H, W, C], label)`.
        image_size: tuple `(H, W)`.
        resize: a mode of `Preprocessing`.

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
