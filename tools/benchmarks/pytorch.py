"""The training beside the same one as the papers' code does it."""

import functools
import itertools

from indistill_tf import data
from indistill_tf.errors import UserError
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired
from indistill_tf_tools.benchmarks.paired import scheduled

_PADDING = 4


def torch(data_dir=None, repeats=5, count=30):
    """Measures the training of each stage against an eager PyTorch loop.

    Both crop, mirror and normalise images of 32 x 32, in batches of 128. Ours
    are the pipeline and the compiled steps, 30 a call, about as many as the
    tools choose. The other is written as the papers' code is, see
    `pytorch_loop`. It makes its images between the steps, as a `DataLoader`
    does by itself, or in two processes beside.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of a call and of one measurement. Defaults to 30.

    Returns:
        Dict from rows (`stage 1 / PyTorch, 2 workers`, ...) to what `paired`
        returns, of steps a second. The rows of the schedule add up its 3, 4,
        5 and 58 epochs.

    Raises:
        UserError: if PyTorch is not installed.
    """
    del data_dir
    loop = _loop()
    split, preprocessing = networks.image_set(50 * networks.BATCH)
    distiller = networks.make_distiller(steps_per_execution=count)
    batches = data.training_batches(
        split,
        preprocessing,
        data.Order(networks.BATCH, seed=0, drop_remainder=True),
        data.Crop(_PADDING, flip=True),
    )
    epochs = networks.stage_epochs(distiller)
    firsts = itertools.accumulate([0, *epochs[:-1]])
    stages = [
        networks.step_function(distiller, batches, first) for first in firsts
    ]
    rows = {}
    for workers in (0, 2):
        found = []
        images = loop.batches(
            split, preprocessing, networks.BATCH, _PADDING, workers
        )
        for number, stage in enumerate(stages):
            other = loop.step_function(images, number, networks.CLASSES)
            found.append(
                paired(
                    functools.partial(stage, 1),
                    functools.partial(other, count),
                    count,
                    repeats,
                )
            )
        for number, row in enumerate(found, start=1):
            rows[f"stage {number} / PyTorch, {workers} workers"] = row
        rows[f"schedule / PyTorch, {workers} workers"] = scheduled(
            found, epochs
        )
    return rows


def _loop():
    try:
        from indistill_tf_tools.benchmarks import pytorch_loop
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "PIL"):
            raise
        raise UserError(
            "The case 'torch' measures against PyTorch. Install it, and Pillow "
            "(`pip install torch pillow`), or choose other `cases`."
        ) from error
    return pytorch_loop
