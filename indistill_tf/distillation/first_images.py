"""The first images of what `fit` is given."""

import itertools
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from indistill_tf.distillation.batch import Batch
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

_DATASETS = (tf.data.Dataset, tf.distribute.DistributedDataset)


def first_images(
    x: object, count: int, strategy: tf.distribute.Strategy
) -> np.ndarray:
    """Returns the first images of the data, which are read from the beginning.

    Args:
        x: what `fit` takes: images, a dict that holds them, a
            `tf.data.Dataset`, also a distributed one, or a
            `keras.utils.PyDataset`.
        count: int, how many; fewer data give fewer.
        strategy: `tf.distribute.Strategy` of the data.

    Returns:
        Array `[count, H, W, C]`.

    Raises:
        UserError: if the data can be read only once.
    """
    found = []
    for images in _batches(x, strategy):
        found.append(np.asarray(images[:count]))
        count -= len(found[-1])
        if count <= 0:
            break
    return np.concatenate(found)


def _batches(x, strategy) -> Iterator[Tensor]:
    if isinstance(x, _DATASETS):
        for data in x:
            # Of all replicas: what is fitted to them is the same on each.
            yield strategy.gather(Batch.of(data).images, axis=0)
    elif isinstance(x, keras.utils.PyDataset):
        ends = x.num_batches
        numbers = itertools.count() if ends is None else range(ends)
        yield from (Batch.of(x[number]).images for number in numbers)
    elif hasattr(x, "__next__"):
        raise UserError(
            "The warm-up in closed form reads the first images before `fit` "
            f"does, which {type(x).__name__!r} gives only once. Give `fit` a "
            "tf.data.Dataset, a keras.utils.PyDataset or arrays."
        )
    else:
        yield Batch.inputs(x).images
