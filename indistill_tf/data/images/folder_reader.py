"""Reading a folder of images with one sub-folder a split and in it a class."""

import itertools
import logging
import math
import os
import pathlib

import numpy as np
import tensorflow as tf

from indistill_tf.data.images import class_folders
from indistill_tf.data.images import damage
from indistill_tf.data.images import decoding
from indistill_tf.data.images import overlap
from indistill_tf.data.images.collecting import check_fits
from indistill_tf.data.images.collecting import collect
from indistill_tf.data.images.collecting import parse_split
from indistill_tf.data.images.encoded import EncodedSplit
from indistill_tf.data.images.indexed_records import ImageFiles
from indistill_tf.data.images.split import Split
from indistill_tf.errors import UserError

logger = logging.getLogger("indistill_tf")


class FolderReader:
    """A folder with one sub-folder a split and in it one a class.

    The classes are those of the split that is trained on; every other split
    must have the same. Where there are class folders alone, they are one split
    of the name `"train"`.

    Args:
        data_dir: the folder.
        image_size: tuple `(H, W)`.
        resize: a mode of `Preprocessing`.
        encoded: bool, whether images stay in their files. Defaults to False.
        train_split: string, what is trained on, may be a slice. Defaults to
            `"train"`.

    Attributes:
        splits: list of the splits' names.
        class_names: list of strings.

    Raises:
        UserError: if there is no such folder, or it holds no two classes.
    """

    def __init__(
        self, data_dir, image_size, resize, encoded=False, train_split="train"
    ):
        root = _existing_folder(data_dir)
        if image_size is None:
            raise UserError(
                "Dataset 'folder' needs `image_size`, for its images may "
                "differ in size. Give it, such as `image_size=32`."
            )
        self.image_size, self.resize = image_size, resize
        self.encoded, self._read = encoded, {}
        train = train_split.partition("[")[0]
        self._folders = _split_folders(root, train)
        self.splits = list(self._folders)
        self._trained_on = self._found(parse_split(train_split, self.splits)[0])
        self.class_names = list(self._trained_on.paths)
        if len(self.class_names) < 2:
            raise UserError(
                f"{self._trained_on.folder} holds {len(self.class_names)} "
                "folders with images; a classification set needs two or more, "
                "one a class."
            )

    def split(self, spec):
        """Returns the `Split` or `EncodedSplit` of a sub-folder or its slice.

        Args:
            spec: string.

        Raises:
            UserError: if there is no such split, its classes are others, or
                an image in memory is damaged.
        """
        name, part = parse_split(spec, self.splits)
        found = self._found(name)
        _check_classes(found, self._trained_on)
        paths = list(itertools.chain(*found.paths.values()))
        counts = [len(of_class) for of_class in found.paths.values()]
        labels = np.repeat(np.arange(len(counts), dtype="int32"), counts)
        order = _mixed(len(paths), part)
        records = ImageFiles([paths[index] for index in order], labels[order])
        split = EncodedSplit(records, 3, self.image_size, self.resize)
        return split if self.encoded else self._in_memory(split)

    def positions(self, spec):
        """Returns where a slice's images lie, and which of them it holds.

        Args:
            spec: string.
        """
        name, _ = parse_split(spec, self.splits)
        found = self._found(name)
        size = sum(map(len, found.paths.values()))
        _, part = overlap.positions(spec, self.splits, size)
        # One folder may be a link to the other.
        return str(pathlib.Path(found.folder).resolve()), part

    def _found(self, name):
        if name not in self._read:
            found = class_folders.read(self._folders[name])
            if found.left_out:
                logger.warning(
                    "%s; left out: %s", found, found.describe_left_out()
                )
            self._read[name] = found
        return self._read[name]

    def _in_memory(self, split):
        if not len(split):
            return Split(np.zeros((0, *self.image_size, 3), "u1"), split.labels)
        check_fits(len(split), self.image_size, split.channels)
        images = split.elements().map(
            _decoded, num_parallel_calls=tf.data.AUTOTUNE
        )
        try:
            return collect(images, self.image_size, self.resize)
        except damage.DAMAGE:
            # All were read up to the damaged one, so to find it is no longer.
            damage.search(split.records, split.channels, math.inf)
            raise


def _decoded(encoded, label, position):
    del position
    return decoding.decode(encoded, 3), label


def _existing_folder(data_dir):
    # Not `Path.expanduser`, which fails for users that there are not.
    root = pathlib.Path(os.path.expanduser(data_dir or ""))
    if not data_dir or not root.is_dir():
        raise UserError(
            "Dataset 'folder' needs `data_dir`, a folder with train/ and "
            "test/, each with a folder per class. Received: "
            f"{_what_came(data_dir, root)}"
        )
    return root


def _what_came(data_dir, root):
    if not data_dir:
        return repr(data_dir)
    if root.exists():
        return f"{root}, which is a file"
    return f"{root}, which does not exist"


def _split_folders(root, train):
    """Returns the folder of each split by its name."""
    folders = class_folders.visible_folders(root)
    nested = [path for path in folders if class_folders.visible_folders(path)]
    if not (root / train).is_dir():
        direct = [path for path in folders if class_folders.holds_images(path)]
        if len(direct) > 1 and set(nested) <= set(direct):
            return {"train": root}
    if not nested:
        raise UserError(
            f"{root} holds no images in class folders. Put them there, such as "
            f"{root / 'train' / 'cat' / '1.jpg'}; it holds: "
            f"{', '.join(path.name for path in folders) or 'no folder'}."
        )
    return {path.name: path for path in nested}


def _check_classes(found, trained_on):
    missing = sorted(trained_on.paths.keys() - found.paths.keys())
    unknown = sorted(found.paths.keys() - trained_on.paths.keys())
    if missing or unknown:
        differences = [
            f"{folder} has no images of {', '.join(map(repr, names))}"
            for folder, names in (
                (found.folder, missing),
                (trained_on.folder, unknown),
            )
            if names
        ]
        raise UserError(
            "All splits need a folder with images for each class, of the same "
            f"names: {'; '.join(differences)}. Add these images, or take the "
            "class out of both."
        )


def _mixed(size, part):
    """Returns which images of a folder a slice holds, in a mixed order."""
    # The folder lists class after class; a slice must not cut classes off.
    return np.random.default_rng(0).permutation(size)[slice(*part(size))]
