"""Computing a teacher's targets for its cache."""

import contextlib
import logging
import shutil
import time

import numpy as np
import tensorflow as tf

from indistill_tf.data.teacher_cache.shards import DTYPE
from indistill_tf.errors import UserError

logger = logging.getLogger("indistill_tf")

_BATCH = 256


def build(folder, shards, missing, show, model):
    """Computes what is missing of a teacher's targets.

    What was computed stays when the process dies, a shard at a time.

    Args:
        folder: the cache's.
        shards: dict from an endpoint's name to its `Shards`.
        missing: dict from a part of the shards to the names that miss it.
        show: function from positions and views to normalised images.
        model: function from names to the `keras.Model` that computes them.

    Raises:
        UserError: if the disk is too small, or a value too large for float16.
    """
    needed = sum(
        shards[name].nbytes(part)
        for part, names in missing.items()
        for name in names
    )
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"The teacher cache needs {needed / 1e6:.2f} MB and {folder} has "
            f"{free / 1e6:.2f} MB left. Choose fewer `teacher_cache_views`, or "
            "another folder as `teacher_cache`."
        )
    logger.info(
        "teacher cache: computing %.2f MB of targets in %s",
        needed / 1e6,
        folder,
    )
    start = time.perf_counter()
    steps = {}
    for part in sorted(missing):
        names = tuple(missing[part])
        if names not in steps:
            steps[names] = _compiled(model(names), show)
        _build_part(part, {name: shards[name] for name in names}, steps[names])
    logger.info(
        "teacher cache: computed in %.1f s", time.perf_counter() - start
    )


def _compiled(teacher, show):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)] * 2)
    def step(positions, views):
        return teacher(show(positions, views), training=False)

    return step


def _build_part(part, shards, step):
    view, first = part
    rows = next(iter(shards.values())).rows(part)
    with contextlib.ExitStack() as stack:
        arrays = {
            name: stack.enter_context(item.writing(part))
            for name, item in shards.items()
        }
        for start in range(0, rows, _BATCH):
            stop = min(start + _BATCH, rows)
            positions = np.arange(first + start, first + stop, dtype="int32")
            targets = step(positions, np.full_like(positions, view))
            for name, array in arrays.items():
                array[start:stop] = _narrowed(targets[name].numpy(), name)


def _narrowed(values, name):
    """Returns float16 values, none of which has become infinite."""
    # Overflow is what is looked for.
    with np.errstate(over="ignore"):
        narrow = values.astype(DTYPE)
    if not np.isfinite(narrow).all():
        largest = np.max(np.abs(values.astype("float32")))
        raise UserError(
            f"The teacher's output {name!r} reaches {largest:.3g}, and the "
            "float16 of the teacher cache ends at 65504. Leave the teacher "
            "live (`teacher_cache_views=0`)."
        )
    return narrow
