"""Images with captions in folders and in webdataset's shards."""

import csv
import pathlib
import tarfile

import numpy as np
import tensorflow as tf

from indistill_tf.data.captions.captioned import CaptionedSplit
from indistill_tf.data.images import decoding
from indistill_tf.data.images import overlap
from indistill_tf.data.images.collecting import parse_split
from indistill_tf.data.preprocessing import fit_size
from indistill_tf.errors import UserError

_ENDINGS = (".jpg", ".jpeg", ".png")


class _Folders:
    """A folder with one sub-folder a split."""

    class_names = ()

    def __init__(self, data_dir, image_size, resize):
        self.image_size, self.resize = image_size, resize
        self.sizes = {}
        if not data_dir or not pathlib.Path(data_dir).is_dir():
            raise UserError(
                "Captions in files need `data_dir`, a folder with train/ and "
                f"test/. Received: {data_dir}"
            )
        self.root = pathlib.Path(data_dir)
        self.splits = sorted(p.name for p in self.root.iterdir() if p.is_dir())

    def split(self, spec):
        """Returns the `CaptionedSplit` of a sub-folder or a slice of one.

        Args:
            spec: string.

        Raises:
            UserError: if a file is missing or damaged.
        """
        split, part = parse_split(spec, self.splits)
        texts = self._captions(self.root / split)
        self.sizes[split] = len(texts)
        names = list(texts)[slice(*part(len(texts)))]
        shape = (len(names), *self.image_size, 3)
        images = np.zeros(shape, "uint8")
        for image, name in zip(images, names):
            image[...] = self._image(name)
        texts = [texts[name] for name in names]
        return CaptionedSplit(
            images=images,
            captions=tuple(text for several in texts for text in several),
            counts=np.array([len(several) for several in texts], int),
        )

    def positions(self, spec):
        """Returns where a slice's images lie; the split has been read.

        Args:
            spec: string.
        """
        split, _ = parse_split(spec, self.splits)
        _, part = overlap.positions(spec, self.splits, self.sizes[split])
        return str((self.root / split).resolve()), part

    def _image(self, name):
        try:
            image = decoding.decode(self._bytes(name), 3)
        except OSError as error:
            raise UserError(
                f"The image {name} cannot be read ({error.strerror}). Put it "
                "there, or take it out of the captions."
            ) from error
        except tf.errors.OpError as error:
            raise UserError(
                f"{name} is no readable image "
                f"({error.message.splitlines()[0]}). Copy it again."
            ) from error
        return fit_size(image[None], self.image_size, self.resize)[0]


class FolderCaptions(_Folders):
    """A folder a split, of images and `captions.csv`.

    Its first line names the columns, of which `file`, from the folder, and
    `caption` are read. A file on several lines has several captions.

    Args:
        data_dir: the folder of the splits.
        image_size: tuple `(H, W)`.
        resize: a mode of `Preprocessing`.

    Raises:
        UserError: if there is no such folder.
    """

    def _captions(self, folder):
        path, texts = folder / "captions.csv", {}
        try:
            with open(path, newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                for row in rows:
                    name = folder / _within(row["file"])
                    texts.setdefault(name, []).append(row["caption"].strip())
        except FileNotFoundError as error:
            raise UserError(
                f"{path} is missing. Write there a table with the columns file "
                "and caption."
            ) from error
        except UserError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(
                f"{path} is damaged near line {rows.line_num}: every line "
                "needs the columns file and caption."
            ) from error
        return texts

    def _bytes(self, name):
        return name.read_bytes()


def _within(name):
    """Returns a path from a file once it is known to stay in its folder."""
    path = pathlib.PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"A table of captions names {name!r}, which is not within its "
            "folder. Name files below it."
        )
    return path


class ShardCaptions(_Folders):
    """A folder a split, of `.tar` files as webdataset has them.

    In a shard, `key.jpg`, `key.jpeg` or `key.png` and `key.txt` make a pair;
    other files are passed over. The shards' order is that of their names.

    Args:
        data_dir: the folder of the splits.
        image_size: tuple `(H, W)`.
        resize: a mode of `Preprocessing`.

    Raises:
        UserError: if there is no such folder.

    References:
        - [webdataset](https://github.com/webdataset/webdataset)
    """

    def _captions(self, folder):
        paths, texts = sorted(folder.glob("*.tar")), {}
        if not paths:
            raise UserError(
                f"{folder} holds no .tar file. Put the split's shards there."
            )
        for path in paths:
            texts |= self._shard(path)
        return texts

    def _shard(self, path):
        images, texts = {}, {}
        try:
            with tarfile.open(path) as shard:
                for member in shard:
                    # webdataset's keys end at the file name's first dot.
                    place = pathlib.PurePosixPath(member.name)
                    key, _, ending = place.name.partition(".")
                    key = place.with_name(key) if key else place
                    if f".{ending.lower()}" in _ENDINGS:
                        images[key] = _Member(path, member)
                    elif ending.lower() == "txt":
                        text = shard.extractfile(member).read()
                        texts[key] = [text.decode("utf-8").strip()]
        except (tarfile.TarError, OSError, EOFError, UnicodeError) as error:
            raise UserError(
                f"{path} is no readable shard ({error}). Copy it again."
            ) from error
        alone = sorted(map(str, images.keys() ^ texts.keys()))
        if alone:
            raise UserError(
                f"In {path}, {alone[0]!r} is an image without a text or a text "
                f"without an image, as are {len(alone) - 1} more. Write the "
                "shard again."
            )
        return {images[key]: texts[key] for key in images}

    def _bytes(self, name):
        return name.read()


class _Member:
    """A file in a shard: where its bytes begin."""

    def __init__(self, path, member):
        self.path, self.name = path, member.name
        self.offset, self.size = member.offset_data, member.size

    def __str__(self):
        return f"{self.path}: {self.name}"

    def read(self):
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)
