"""Where the time of a step goes, operation by operation."""

import collections
import pathlib

import tensorflow as tf

from indistill_tf_tools.benchmarks import networks


def profile(folder, first_epoch=12, count=20):
    """Records some training steps for TensorBoard.

    The networks are those of the case `steps`; the trace opens in
    TensorBoard with the plugin `tensorboard-plugin-profile`.

    Args:
        folder: where the trace goes.
        first_epoch: int, whose stage is recorded. Defaults to 12, the task.
        count: int, steps. Defaults to 20.

    Returns:
        List of pairs of an operation's name and its milliseconds a step, over
        all cores, the dearest first.
    """
    run = networks.step_function(
        networks.make_distiller(), networks.batches(), first_epoch
    )
    run(5)
    return record(run, count, folder)


def record(run, count, folder):
    """Records steps that are compiled already.

    Args:
        run: function that trains for a number of steps.
        count: int, steps.
        folder: where the trace goes.

    Returns:
        See `profile`.
    """
    with tf.profiler.experimental.Profile(str(folder)):
        run(count)
    paths = pathlib.Path(folder).rglob("*.xplane.pb")
    return dearest(max(paths, key=lambda path: path.stat().st_mtime), count)


def dearest(path, count=1):
    """Adds up the time of each TensorFlow operation of a trace.

    Args:
        path: a file `*.xplane.pb`.
        count: int, the steps recorded. Defaults to 1.

    Returns:
        See `profile`.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(pathlib.Path(path).read_bytes())
    total = collections.Counter()
    for plane in space.planes:
        names = {key: item.name for key, item in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                name = names.get(event.metadata_id, "")
                # Operations are "path/in/the/graph:Kind".
                if "/" in name and ":" in name and "::" not in name:
                    total[name] += event.duration_ps / 1e9 / count
    return total.most_common()
