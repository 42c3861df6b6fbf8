"""What the channels that pruning keeps tell of a whole map, by ranking."""

import math

import keras
import numpy as np

from indistill_tf.data import ImageSet
from indistill_tf.data import evenly_spaced
from indistill_tf.graph import endpoints
from indistill_tf.graph import pruning
from indistill_tf.graph import rankings

# Images by which channels are ranked, fewer of large ones: 1 GiB of float32.
_IMAGES = 4096
_MOST_VALUES = 2**28


def ranking_images(images: ImageSet) -> np.ndarray:
    """Returns the images by which a run ranks channels.

    Args:
        images: `ImageSet`.

    Returns:
        Array `[N, H, W, C]` of 4,096 training images, evenly spaced, as
        networks read them; fewer of images above 128 x 128 pixels.
    """
    size = math.prod(images.preprocessing.input_shape)
    count = min(_IMAGES, _MOST_VALUES // size)
    shown = evenly_spaced(len(images.train), count)
    return np.asarray(images.preprocessing(images.train.images_at(shown)))


def unexplained(
    model: keras.Model, images: ImageSet, rate: float
) -> dict[str, dict[str, float]]:
    """Returns what the channels that pruning keeps leave unexplained.

    That is the part of the variance of all channels of a map, over
    `ranking_images` and positions, that a least-squares fit to the kept ones,
    with an offset, does not reach.

    Args:
        model: functional `keras.Model`.
        images: `ImageSet`.
        rate: float in [0, 1), the part of the channels that pruning takes.

    Returns:
        Dict from the names of the feature maps to a dict from
        `indistill_tf.rankings.RANKINGS` to a float in [0, 1].

    Raises:
        UserError: if the rate is out of range or the channels of a map cannot
            be ranked.
    """
    shown = ranking_images(images)
    found = {}
    for name, tensor in endpoints.feature_maps(model).items():
        width = pruning.pruned_width(tensor.shape[-1], rate)
        covariance = rankings.covariance(tensor, shown)
        found[name] = {}
        for key, ranking in rankings.RANKINGS.items():
            of_images = key in rankings.OF_IMAGES
            scores = (
                ranking.scores(covariance) if of_images else ranking(tensor)
            )
            kept = pruning.highest(scores, width)
            found[name][key] = rankings.unexplained(covariance, kept)
    return found
