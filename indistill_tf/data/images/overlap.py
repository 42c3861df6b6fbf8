"""Images that are measured and trained on: overlapping slices, and copies."""

import logging
import typing

import numpy as np

from indistill_tf.data.images.collecting import parse_split
from indistill_tf.data.images.image_split import ImageSplit
from indistill_tf.data.images.split import Split

logger = logging.getLogger("indistill_tf")


class Reader(typing.Protocol):
    """What tells where the images of a slice lie."""

    def positions(self, spec: str) -> tuple[str, range]:
        """Returns a split's name, and which of its images a slice holds.

        Args:
            spec: string, a split or a slice of one.
        """


def positions(spec: str, splits: list[str], size: int) -> tuple[str, range]:
    """Returns a split's name, and which of its images a slice holds.

    Args:
        spec: string, a split or a slice of one.
        splits: the names that exist.
        size: int, the images of the split.

    Raises:
        UserError: if `spec` is malformed or its split does not exist.
    """
    split, part = parse_split(spec, splits)
    return split, range(size)[slice(*part(size))]


def warn(
    reader: Reader,
    train: str,
    other: str,
    labels: np.ndarray | None = None,
    classes: int | None = None,
) -> bool:
    """Warns where slices of one split overlap, and says by how many images.

    Args:
        reader: `Reader` of the images.
        train: string, the slice that is trained on.
        other: string, the slice that is measured.
        labels: int array, the classes of the training images in order.
            Defaults to None; only needed with `classes`.
        classes: int, the first classes, which alone are kept. Defaults to
            None: all are.

    Returns:
        Whether they overlap.
    """
    (split, trained), (same, measured) = map(reader.positions, (train, other))
    first = max(trained.start, measured.start)
    last = min(trained.stop, measured.stop)
    if split != same or first >= last:
        return False
    count = last - first
    if classes is not None:
        both = slice(first - trained.start, last - trained.start)
        count = int(np.sum(labels[both] < classes))
    if count:
        logger.warning(
            "%d images of %r are trained on too, in %r: scores on them say "
            "nothing of new images. Choose slices that are apart, such as "
            "'train[:90%%]' and 'train[90%%:]'.",
            *(count, other, train),
        )
    return count > 0


def warn_of_copies(
    train: ImageSplit, other: ImageSplit, names: tuple[str, str]
) -> None:
    """Warns where a split holds the pixels of images that are trained on.

    Images that stay in their files are not looked at: it would read them all.

    Args:
        train: `Split` that is trained on, or another `ImageSplit`.
        other: the same that is measured.
        names: what the two are called.
    """
    if not isinstance(train, Split) or not isinstance(other, Split):
        return
    known = set(_hashes(train))
    count = sum(image in known for image in _hashes(other))
    if count:
        logger.warning(
            "%d images of %r lie in %r too, equal in each pixel: scores on "
            "them say nothing of new images. Take them out of one of both.",
            *(count, names[1], names[0]),
        )


def _hashes(split):
    return (hash(image.tobytes()) for image in split.images)
