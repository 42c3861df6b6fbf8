"""Image sets: embedded, TFDS, a folder of images, or the user's own dataset."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from indistill_tf.data.images import overlap
from indistill_tf.data.images.collecting import collect
from indistill_tf.data.images.image_set import ImageSet
from indistill_tf.data.images.readers import make_reader
from indistill_tf.data.preprocessing import IMAGENET_MEAN
from indistill_tf.data.preprocessing import IMAGENET_STD
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.hints import Path

_IMAGENET = dict(mean=IMAGENET_MEAN, std=IMAGENET_STD)
_FASHION = dict(
    image_size=(32, 32), mean=(0.2860,), std=(0.3530,), resize="pad"
)

_HELD_OUT = ("tes", "val", "dev", "eva")

_LARGEST = 4096

AUGMENTATIONS = ("crop", "random_resized_crop")

# What the papers use for each set; other sets are read at their own size and
# normalised by the `statistics` of their training images.
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
    "imagenet2012": dict(
        image_size=(224, 224),
        resize="crop",
        augmentation="random_resized_crop",
        test_split="validation",
        **_IMAGENET,
    ),
}


def load(
    name: str = "embedded",
    data_dir: Path | None = None,
    image_size: int | tuple[int, int] | None = None,
    resize: str | None = None,
    classes: int | None = None,
    train_split: str = "train",
    validation_split: str | None = None,
    test_split: str | None = None,
    augmentation: str | None = None,
) -> ImageSet:
    """Loads an image set, into memory or with its images left in their files.

    Args:
        name: `"embedded"` (12,000 images of Fashion-MNIST that come with the
            package), `"folder"`, or a TFDS name such as `"cifar10"`. Defaults
            to `"embedded"`.
        data_dir: for TFDS, where prepared sets lie; for `"folder"`, a folder
            with one sub-folder a split and in it one a class, or with the
            classes' folders alone, which are then the split `"train"`. The
            classes are those of the split that is trained on.
        image_size: int or tuple `(H, W)` that the network reads. Defaults to
            the papers' size for the set, else to the images' own.
        resize: `"bilinear"`, `"pad"` or `"crop"`, see `Preprocessing`. Defaults
            to the set's.
        classes: int, keep the first classes only. Defaults to all.
        train_split: string, may be a slice such as `"train[:90%]"`. Where a
            split that is measured shares images with it, by their place or,
            in memory, by their pixels, a warning says how many.
        validation_split: string, such as `"train[90%:]"`. Defaults to none.
        test_split: string. Defaults to the set's, mostly `"test"`, and
            `"validation"` for `"imagenet2012"`, whose test labels are secret.
        augmentation: `"crop"` reads the images into memory, sized, and in
            training pads, crops and mirrors them; `"random_resized_crop"`
            leaves them in their files, and in training resizes random parts.
            Defaults to the set's: `"crop"` but for `"imagenet2012"`.

    Returns:
        `ImageSet`.

    Raises:
        UserError: if the set, a split or a file does not exist or does not
            fit.
    """
    defaults = DEFAULTS.get(name, {})
    augmentation = augmentation or defaults.get("augmentation", "crop")
    if augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", augmentation, AUGMENTATIONS)
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    image_size = image_size or defaults.get("image_size")
    _check_size(image_size)
    encoded = augmentation == "random_resized_crop"
    usual = "crop" if encoded else "bilinear"
    resize = resize or defaults.get("resize", usual)
    reader = make_reader(
        name, data_dir, image_size, resize, encoded, train_split
    )
    if test_split is None:
        test_split = defaults.get("test_split", "test")
        _check_usual(test_split, name, reader.splits)
    specs = [train_split, test_split, validation_split]
    train, test, validation = _read(reader, name, specs, classes)
    return ImageSet(
        name=name,
        train=train,
        test=test,
        validation=validation,
        class_names=tuple(reader.class_names[:classes]),
        preprocessing=_preprocessing(
            train, reader.image_size, defaults, resize
        ),
        augmentation=augmentation,
    )


def from_datasets(
    name: str,
    train: tf.data.Dataset,
    test: tf.data.Dataset,
    class_names: Sequence[str],
    image_size: tuple[int, int],
    resize: str = "bilinear",
) -> ImageSet:
    """Makes an image set of a user's own `tf.data.Dataset`s.

    Args:
        name: string.
        train: finite, unbatched dataset of `(image uint8 [H, W, C], label)`.
        test: the same. A warning says how many of its images are in `train`.
        class_names: sequence of strings.
        image_size: tuple `(H, W)` that the network reads.
        resize: `"bilinear"`, `"pad"` or `"crop"`, see `Preprocessing`. Defaults
            to `"bilinear"`.

    Returns:
        `ImageSet`, normalised by the mean and deviation of `train`.
    """
    train, test = (
        collect(images, image_size, resize) for images in (train, test)
    )
    overlap.warn_of_copies(train, test, ("train", "test"))
    return ImageSet(
        name=name,
        train=train,
        test=test,
        validation=None,
        class_names=tuple(class_names),
        preprocessing=_preprocessing(train, image_size, {}, resize),
    )


def _read(reader, name, specs, classes):
    """Returns the splits that are named, None where there is no name."""
    splits = [reader.split(spec) if spec else None for spec in specs]
    if classes is not None:
        _check_classes(name, len(reader.class_names), classes)
    train, *others = specs
    # Only a cut to some classes asks for labels, which cost a pass.
    labels = None if classes is None else splits[0].labels
    overlapping = [
        other and overlap.warn(reader, train, other, labels, classes)
        for other in others
    ]
    if classes is not None:
        splits = [split and split.first_classes(classes) for split in splits]
    for other, split, warned in zip(others, splits[1:], overlapping):
        if not warned:
            overlap.warn_of_copies(splits[0], split, (train, other))
    for spec, split in zip(specs, splits, strict=True):
        if split is not None and not len(split):
            raise UserError(
                f"Split {spec!r} of {name!r} holds no image. Choose a larger "
                "slice."
            )
    return splits


def _check_size(image_size):
    if image_size is not None and not all(
        1 <= x <= _LARGEST for x in image_size
    ):
        raise UserError(
            f"Networks read images of 1 to {_LARGEST} pixels a side. Received: "
            f"`image_size={image_size}`"
        )


def _check_usual(split, name, known):
    """Checks that the usual split to report on exists."""
    if split in known:
        return
    others = [other for other in known if other != "train"]
    # As sets that have no split of that name call it.
    held_out = [other for other in others if other.lower()[:3] in _HELD_OUT]
    if others:
        advice = f"`test_split={(held_out or others)[0]}`"
    else:
        advice = "`train_split=train[:80%]` and `test_split=train[80%:]`"
    raise UserError(
        f"{name!r} has no split {split!r} to report on, but: "
        f"{', '.join(known)}. Say what to use instead, such as {advice}."
    )


def _check_classes(name, known, classes):
    if not 2 <= classes <= known:
        raise UserError(
            f"{name!r} has {known} classes; the first {classes} cannot be "
            "chosen. Give `classes` from 2 up to their number."
        )


def _preprocessing(train, image_size, defaults, resize):
    if "mean" in defaults:
        mean, std = defaults["mean"], defaults["std"]
    else:
        mean, std = train.statistics()
    if train.channels < len(mean):
        # Of grey images, the mean over colours.
        mean, std = (np.mean(mean),), (np.mean(std),)
    return Preprocessing(
        image_size=tuple(image_size),
        mean=tuple(float(value) for value in mean),
        std=tuple(float(value) for value in std),
        resize=resize,
    )
