"""Rankings: which channels of a teacher's map pruning keeps.

A ranking is a function from a symbolic map of a teacher to a score for each
channel; the highest are kept. `"l1"` is the papers'. `"folded_l1"` looks at the
weights alone too. `Energy` and `Reconstruction` look at images.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.graph import pruned_maps
from indistill_tf.graph import traversal
from indistill_tf.hints import Tensor

# Values of a map that are computed together: 256 MiB of float32.
_VALUES_A_BATCH = 2**26


class _OfImages:
    """A ranking by what a map's channels do on some images."""

    def __init__(self, images: np.ndarray):
        self.images = images

    def __call__(self, tensor: Tensor) -> np.ndarray:
        """Returns a score for each channel, array `[C]`."""
        return self.scores(covariance(tensor, self.images))


class Energy(_OfImages):
    """Ranks channels by their variance over images and positions.

    Args:
        images: array `[N, H, W, C]` of a few thousand images, as the teacher
            reads them.

    Call arguments:
        tensor: symbolic `[N, ..., C]` output of a functional model with one
            input.
    """

    @staticmethod
    def scores(covariance: np.ndarray) -> np.ndarray:
        """Returns the variance of each channel, array `[C]`.

        Args:
            covariance: array `[C, C]`, see `covariance`.
        """
        return np.diag(covariance)


class Reconstruction(_OfImages):
    """Ranks channels by how well all follow from those before them.

    The first is the channel from which a least-squares fit, with an offset,
    leaves least of the variance of all channels; the next is the one which
    leaves least beside the first, and so on: a QR decomposition with pivots of
    the map's values, whose pivot is the column that explains most.

    Args:
        images: see `Energy`.

    Call arguments:
        tensor: see `Energy`.
    """

    @staticmethod
    def scores(covariance: np.ndarray) -> np.ndarray:
        """Returns C for the first channel, 1 for the last, array `[C]`.

        Args:
            covariance: array `[C, C]`, see `covariance`.
        """
        order = explaining_most(covariance)
        scores = np.empty(len(order))
        scores[order] = np.arange(len(order), 0, -1)
        return scores


RANKINGS = {
    "l1": pruned_maps.channel_scores,
    "folded_l1": pruned_maps.folded_channel_scores,
    "energy": Energy,
    "reconstruction": Reconstruction,
}
OF_IMAGES = ("energy", "reconstruction")


def get(ranking: str | Callable) -> Callable:
    """Returns a ranking by name.

    Args:
        ranking: a key of `RANKINGS`, or a function from a symbolic map
            `[N, H, W, C]` to scores `[C]`, which is returned as it is.

    Raises:
        UserError: if the name is unknown, or the ranking needs images.

    Example:

    >>> get("l1") is pruned_maps.channel_scores
    True
    """
    if callable(ranking):
        return ranking
    if ranking not in RANKINGS:
        raise unknown_name("ranking", ranking, RANKINGS)
    if ranking in OF_IMAGES:
        kind = RANKINGS[ranking].__name__
        raise UserError(
            f"The ranking {ranking!r} needs images. Give "
            f"`ranking=indistill_tf.rankings.{kind}(images)` with some "
            "thousands of them, as the teacher reads them."
        )
    return RANKINGS[ranking]


def name(ranking: str | Callable) -> str:
    """Returns what a ranking is called.

    Args:
        ranking: see `get`.
    """
    if isinstance(ranking, str):
        return ranking
    for key, kind in RANKINGS.items():
        if ranking is kind or type(ranking) is kind:
            return key
    return getattr(ranking, "__name__", type(ranking).__name__)


def covariance(tensor: Tensor, images: np.ndarray) -> np.ndarray:
    """Returns the covariance of a map's channels over images and positions.

    Args:
        tensor: symbolic `[N, ..., C]` output of a functional model with one
            input.
        images: array `[N, H, W, C]`, as the model reads them.

    Returns:
        float64 array `[C, C]`.
    """
    start = next(traversal.walk([tensor]))
    model = keras.Model(start, tensor)
    size = max(_VALUES_A_BATCH // np.prod(tensor.shape[1:], dtype=int), 1)
    count, total, products = 0, 0.0, 0.0
    for first in range(0, len(images), size):
        batch = images[first : first + size]
        values = ops.convert_to_numpy(model(batch, training=False))
        values = values.reshape(-1, values.shape[-1]).astype("float64")
        count += len(values)
        total = total + values.sum(axis=0)
        products = products + values.T @ values
    mean = total / count
    return products / count - np.outer(mean, mean)


def unexplained(covariance: np.ndarray, kept: np.ndarray) -> float:
    """Returns the part of the variance of all channels that some do not tell.

    Args:
        covariance: array `[C, C]`, see `covariance`.
        kept: int array, the channels from which all are fitted by least
            squares, with an offset.

    Returns:
        Float in [0, 1].

    Example:

    >>> unexplained(np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 2]]), [0])
    0.5
    """
    across = covariance[:, kept]
    told = across @ np.linalg.pinv(covariance[np.ix_(kept, kept)]) @ across.T
    return float(1 - np.trace(told) / np.trace(covariance))


def explaining_most(covariance: np.ndarray) -> np.ndarray:
    """Returns columns in the order in which they explain most of all columns.

    Args:
        covariance: array `[C, C]`.

    Returns:
        int array `[C]`; columns that explain nothing more stay in order.

    Example:

    The third is the sum of the others, which are independent, so it explains
    most; either of them then explains the rest.

    >>> explaining_most(np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 2]])).tolist()
    [2, 0, 1]
    """
    left = np.array(covariance, "float64")
    nothing = 1e-9 * np.trace(left)
    order = []
    for _ in range(len(left)):
        variances = np.diag(left)
        explained = np.square(left).sum(axis=0) / np.maximum(variances, nothing)
        explained[variances <= nothing] = 0.0
        explained[order] = -1.0
        best = int(np.argmax(explained))
        order.append(best)
        if variances[best] > nothing:
            left = left - np.outer(left[best], left[best]) / variances[best]
    return np.array(order)
