"""The images of one task, and what a network must know to read them."""

import dataclasses
from typing import Any

import keras

from indistill_tf.data.images.image_split import ImageSplit
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images of one task, with what a network must know to read them.

    Attributes:
        name: string.
        train: `Split` or `EncodedSplit` to train on, and the database of
            retrieval.
        test: the same to report on, and the queries of retrieval.
        validation: the same to watch in training, or None.
        class_names: tuple of strings.
        preprocessing: `Preprocessing`.
        augmentation: what training does to an image: `"crop"`, of padded
            images in memory, or `"random_resized_crop"`, of images in files.
    """

    name: str
    train: ImageSplit
    test: ImageSplit
    validation: ImageSplit | None
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    augmentation: str = "crop"

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of the network's input."""
        return self.preprocessing.input_shape

    def check(self, model: keras.Model) -> None:
        """Checks that a model reads these images and knows their classes.

        Args:
            model: `keras.Model` from images to logits or probabilities; of two
                classes a single one suffices.

        Raises:
            UserError: if not.
        """
        expected = (self.input_shape, self.num_classes)
        output = model.outputs[0]
        received = (tuple(model.input_shape[1:]), output.shape[-1])
        suffices = (self.input_shape, 1) if self.num_classes == 2 else expected
        if received not in (expected, suffices):
            raise UserError(
                f"Model {model.name!r} reads images {received[0]} of "
                f"{received[1]} classes, but {self.name!r} has {expected[0]} "
                f"and {expected[1]}. Choose another model, another data set or "
                "another `image_size`."
            )

    def check_measured(self) -> None:
        """Decodes the images that are measured, so that none fails later.

        Where they stay in their files, it takes about as long as decoding
        them for a score does; those in memory were decoded. What training
        reads, its first epoch decodes.

        Raises:
            UserError: if one cannot be read or decoded.
        """
        for split in filter(None, (self.validation, self.test)):
            split.check_images()

    def describe(self) -> dict[str, Any]:
        """Returns what a run's record says of the images, JSON-ready."""
        return {
            "name": self.name,
            "train": len(self.train),
            "test": len(self.test),
            "class_names": list(self.class_names),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            "augmentation": self.augmentation,
        }
