"""What a checkpoint costs: the seconds to write it, and to go on from it."""

import pathlib
import tempfile
import time

from indistill_tf_tools.benchmarks.paired import summary


def checkpoint(
    data_dir=None, repeats=5, network="resnet18_imagenet", pixels=224
):
    """Measures how long a checkpoint takes to be written, and to be read.

    It holds a network for a thousand classes and its optimizer's momentum.
    Checksums are taken when it is written, and checked when it is read.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, checkpoints that are measured. Defaults to 5.
        network: string, a name of `indistill_tf.models`. Defaults to
            `"resnet18_imagenet"`.
        pixels: int, a side of its images. Defaults to 224.

    Returns:
        Dict from the network to a dict: megabytes, seconds to write and to
        read, and how many of them the processor worked.
    """
    del data_dir
    import keras

    from indistill_tf import models

    model = models.build(network, (pixels, pixels, 3), 1000)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    model.optimizer.build(model.trainable_variables)
    with tempfile.TemporaryDirectory() as folder:
        return {network: _measured(model, pathlib.Path(folder), repeats)}


def _measured(model, folder, repeats):
    from indistill_tf.training import snapshots
    from indistill_tf.training.checkpoint import Checkpoint

    saver, writing, reading = Checkpoint(folder), [], []
    for epoch in range(1, repeats + 1):
        at = snapshots.Position(epoch)
        writing.append(_seconds(lambda at=at: saver.save(model, at)))
        reading.append(_seconds(lambda: saver.restore(model)))
    files = next(iter(snapshots.found(folder).values())).iterdir()
    return {
        "Mbyte": sum(path.stat().st_size for path in files) / 1e6,
        **_columns("write", writing),
        **_columns("read", reading),
    }


def _seconds(run):
    """Returns the seconds that went by, and those of the processor."""
    clocks = time.perf_counter, time.process_time
    before = [clock() for clock in clocks]
    run()
    return [clock() - then for clock, then in zip(clocks, before, strict=True)]


def _columns(verb, seconds):
    passed, worked = zip(*seconds, strict=True)
    return {
        f"s to {verb}": summary(passed),
        f"processor s to {verb}": summary(worked),
    }
