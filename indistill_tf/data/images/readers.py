"""Reading image sets, whatever they are stored in."""

import logging
import pathlib
import zipfile

import numpy as np

from indistill_tf.data.images import overlap
from indistill_tf.data.images.collecting import check_fits
from indistill_tf.data.images.collecting import parse_split
from indistill_tf.data.images.folder_reader import FolderReader
from indistill_tf.data.images.split import Split
from indistill_tf.data.images.tfds_reader import TfdsReader
from indistill_tf.data.preprocessing import fit_size
from indistill_tf.errors import UserError

EMBEDDED = pathlib.Path(__file__).parents[1] / "embedded" / "fashion_mnist.npz"

logger = logging.getLogger("indistill_tf")


def make_reader(
    name, data_dir, image_size, resize, encoded=False, train_split="train"
):
    """Returns the reader of an image set.

    Args:
        name: `"embedded"`, `"folder"` or a TFDS name.
        data_dir: where prepared sets or the folder lie.
        image_size: tuple `(H, W)`, or None for the images' own.
        resize: a mode of `Preprocessing`.
        encoded: bool, whether images stay in their files. Defaults to False.
        train_split: string, what is trained on, may be a slice. Defaults to
            `"train"`.

    Returns:
        An object with `class_names`, `splits`, `image_size` and `split(spec)`,
        which reads a `Split` or makes an `EncodedSplit`.

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
        if data_dir:
            logger.warning(
                "`data_dir=%s` is not read: the set 'embedded' comes with the "
                "package. Images of your own are the set 'folder'.",
                data_dir,
            )
        return EmbeddedReader(image_size, resize)
    if name == "folder":
        return FolderReader(data_dir, image_size, resize, encoded, train_split)
    return TfdsReader(name, data_dir, image_size, resize, encoded)


class EmbeddedReader:
    """The images that come with the package."""

    splits = ("train", "test")

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
        split, part = parse_split(spec, self.splits)
        labels = self.arrays[f"{split}_labels"].astype("int32")
        part = slice(*part(len(labels)))
        images = self.arrays[f"{split}_images"][part]
        check_fits(len(images), self.image_size, images.shape[-1])
        images = fit_size(images, self.image_size, self.resize)
        return Split(np.asarray(images), labels[part])

    def positions(self, spec):
        split, _ = parse_split(spec, ("train", "test"))
        size = len(self.arrays[f"{split}_labels"])
        return overlap.positions(spec, ("train", "test"), size)
