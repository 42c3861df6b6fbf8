"""What a report shows of a network beside its scores, in one small file."""

import dataclasses
import typing
import zipfile

import numpy as np
import tensorflow as tf

from indistill_tf import unit_length
from indistill_tf.data import ImageSet
from indistill_tf.data import evenly_spaced
from indistill_tf.errors import UserError
from indistill_tf.evaluation import distances
from indistill_tf.files import replacing
from indistill_tf.hints import Path

DETAILS_FILE = "evaluation.npz"

_QUERIES = 10
_NEIGHBOURS = 10
_POINTS = 1000
# Pixels of a picture's longer side, and items that are compared at a time.
_SIDE = 32
_PART = 8192


@dataclasses.dataclass(frozen=True)
class Details:
    """What a report shows of a network beside its scores.

    Attributes:
        labels: int array `[N]`, of all test images.
        predictions: int array `[N]`, the classes that they are taken for.
        points: float16 array `[P, 2]`, the embeddings of up to 1,000 test
            images, evenly spaced, see `in_two_dimensions`.
        point_labels: int array `[P]`.
        query_images: uint8 array `[Q, h, w, C]`, up to ten test images in turn
            of each class, at most 32 pixels a side.
        query_labels: int array `[Q]`.
        neighbour_images: uint8 array `[Q, K, h, w, C]`, the up to ten training
            images nearest to each by cosine, the nearest first.
        neighbour_labels: int array `[Q, K]`.
        teacher_points: like `points`, of the teacher; no rows without one.
    """

    labels: np.ndarray
    predictions: np.ndarray
    points: np.ndarray
    point_labels: np.ndarray
    query_images: np.ndarray
    query_labels: np.ndarray
    neighbour_images: np.ndarray
    neighbour_labels: np.ndarray
    teacher_points: np.ndarray

    def save(self, path: Path) -> None:
        """Writes the file atomically; it has half a megabyte at most.

        It is 0.06 MB for 2,000 grey test images of ten classes, 0.33 MB for
        10,000 coloured ones.

        Args:
            path: ends in `.npz`.
        """
        arrays = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **arrays)

    @classmethod
    def read(cls, path: Path) -> typing.Self:
        """Reads a file that `save` wrote.

        Args:
            path: the file.

        Raises:
            UserError: if there is something else in it.
        """
        try:
            with np.load(path) as file:
                return cls(**file)
        except (EOFError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} does not hold what a report shows ({error}). Remove "
                "it; `evaluate` writes it again."
            ) from error


def details(
    images: ImageSet,
    predictions: np.ndarray,
    test: np.ndarray,
    train: np.ndarray,
    teacher: np.ndarray | None = None,
) -> Details:
    """Returns what there is to show of a network, from what scores it.

    Args:
        images: `indistill_tf.data.ImageSet`.
        predictions: ints `[N]`, see `predicted_classes`.
        test: floats `[N, D]`, embeddings of the test images.
        train: floats `[M, D]`, of the training images.
        teacher: floats `[N, T]`, the teacher's of the test images, or None.
    """
    labels = images.test.labels
    shown = evenly_spaced(len(labels), _POINTS)
    queries = query_positions(labels, _QUERIES)
    found = nearest(test[queries], train, _NEIGHBOURS)
    neighbours = _pictures(images.train, found.ravel())
    neighbours = neighbours.reshape(*found.shape, *neighbours.shape[1:])
    teacher_points = np.zeros((0, 2), "float16")
    if teacher is not None:
        teacher_points = in_two_dimensions(teacher[shown])
    return Details(
        labels=_small(labels),
        predictions=_small(predictions),
        points=in_two_dimensions(test[shown]),
        point_labels=_small(labels[shown]),
        query_images=_pictures(images.test, queries),
        query_labels=_small(labels[queries]),
        neighbour_images=neighbours,
        neighbour_labels=_small(images.train.labels[found]),
        teacher_points=teacher_points,
    )


def in_two_dimensions(embeddings: np.ndarray) -> np.ndarray:
    """Returns the first two principal components of directions.

    Embeddings are brought to unit length, as retrieval by cosine does. An axis
    points to where its largest coefficient is positive.

    Args:
        embeddings: float array `[N, D]`.

    Returns:
        float16 array `[N, 2]`.
    """
    unit = unit_length.of_array(embeddings.astype("float64"))
    centred = unit - unit.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.sign(np.take_along_axis(axes, largest[:, None], axis=1))
    points = np.zeros((len(centred), 2), "float16")
    points[:, : len(axes)] = centred @ axes.T
    return points


def nearest(
    queries: np.ndarray, database: np.ndarray, count: int
) -> np.ndarray:
    """Returns the positions of the nearest items by cosine, nearest first.

    Args:
        queries: float array `[Q, D]`.
        database: float array `[M, D]`.
        count: int, of items a query; no more than there are.

    Returns:
        int array `[Q, count]`.
    """
    left, right = distances.scaled(queries, database, "cosine", bound=1.0)
    directions = left(slice(None))
    parts = range(0, len(database), _PART)
    products = [
        directions @ right(slice(start, start + _PART)).T for start in parts
    ]
    order = np.argsort(np.hstack(products), axis=1, kind="stable")
    return order[:, :count]


def query_positions(labels: np.ndarray, count: int) -> np.ndarray:
    """Returns the positions of images in turn of each class.

    Of every class the first, then of every class the second, and so on.

    Args:
        labels: int array `[N]`.
        count: int; no more than there are.

    Returns:
        int array.
    """
    order = np.argsort(labels, kind="stable")
    sorted_labels = labels[order]
    # How many images of its class stand before each.
    turn = np.arange(len(order)) - np.searchsorted(sorted_labels, sorted_labels)
    return order[np.lexsort((sorted_labels, turn))[:count]]


def _small(labels):
    """Returns labels in the smallest type that holds them."""
    return labels.astype(np.min_scalar_type(labels.max()))


def _pictures(split, positions):
    """Returns images of a split, made smaller where they are large."""
    found = split.images_at(positions)
    scale = _SIDE / max(found.shape[1:3])
    if scale >= 1:
        return found
    size = [max(round(scale * side), 1) for side in found.shape[1:3]]
    return tf.image.resize(found, size, method="area").numpy().astype("uint8")
