"""Reading image sets, whatever they are stored in."""

import pathlib
import zipfile

import keras
import numpy as np

from indistill_tf.data.images import indexed_records
from indistill_tf.data.images import overlap
from indistill_tf.data.images.collecting import collect
from indistill_tf.data.images.collecting import parse_split
from indistill_tf.data.images.encoded import EncodedSplit
from indistill_tf.data.images.split import Split
from indistill_tf.data.images.tfds_reader import TfdsReader
from indistill_tf.data.preprocessing import fit_size
from indistill_tf.errors import UserError

EMBEDDED = pathlib.Path(__file__).parents[1] / "embedded" / "fashion_mnist.npz"
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
                "`augmentation=random_resized_crop` reads. Use "
                "`augmentation=crop`."
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
        split, part = parse_split(spec, ("train", "test"))
        labels = self.arrays[f"{split}_labels"].astype("int32")
        part = slice(*part(len(labels)))
        images = self.arrays[f"{split}_images"][part]
        images = fit_size(images, self.image_size, self.resize)
        return Split(np.asarray(images), labels[part])

    def positions(self, spec):
        split, _ = parse_split(spec, ("train", "test"))
        size = len(self.arrays[f"{split}_labels"])
        return overlap.positions(spec, ("train", "test"), size)


class FolderReader:
    """A folder with one sub-folder a split and in it one a class."""

    def __init__(self, data_dir, image_size, resize, encoded=False):
        if not data_dir or not pathlib.Path(data_dir).is_dir():
            raise UserError(
                "Dataset 'folder' needs `data_dir`, a folder with train/ and "
                f"test/, each with a folder per class. Received: {data_dir}"
            )
        if image_size is None:
            raise UserError(
                "Dataset 'folder' needs `image_size`, for its images may "
                "differ in size. Give it, such as `image_size=32`."
            )
        self.root = pathlib.Path(data_dir)
        self.image_size, self.resize = image_size, resize
        self.encoded = encoded
        self.sizes = {}
        self.splits = sorted(p.name for p in self.root.iterdir() if p.is_dir())
        first = self.root / (self.splits or ["train"])[0]
        self.class_names = sorted(p.name for p in first.glob("*") if p.is_dir())
        if len(self.class_names) < 2:
            raise UserError(
                f"{first} holds {len(self.class_names)} class folders; a "
                "classification set needs two or more."
            )

    def split(self, spec):
        split, part = parse_split(spec, self.splits)
        if self.encoded:
            return self._encoded(split, part)
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
        self.sizes[split] = len(images)
        order = _mixed(len(images), part)
        return Split(images.images[order], images.labels[order])

    def positions(self, spec):
        """Returns where a slice's images lie; the split has been read."""
        split, _ = parse_split(spec, self.splits)
        _, part = overlap.positions(spec, self.splits, self.sizes[split])
        # One folder may be a link to the other.
        return str((self.root / split).resolve()), part

    def _encoded(self, split, part):
        folder, paths, labels = self.root / split, [], []
        for label, name in enumerate(self.class_names):
            of_class = sorted(
                path
                for path in (folder / name).rglob("*")
                if path.suffix.lower() in _ENDINGS
            )
            paths += of_class
            labels += [label] * len(of_class)
        self.sizes[split] = len(paths)
        order = _mixed(len(paths), part)
        records = indexed_records.ImageFiles(
            [paths[index] for index in order], np.array(labels, "int32")[order]
        )
        return EncodedSplit(records, 3, self.image_size, self.resize)


def _mixed(size, part):
    """Returns which images of a folder a slice holds, in a mixed order."""
    # The folder lists class after class; a slice must not cut classes off.
    return np.random.default_rng(0).permutation(size)[slice(*part(size))]
