"""What the case `workers` runs in each process: steps, and the exchange."""

import json
import os
import sys
import time

STEPS = 20


def main(batch, repeats, synchronized, core):
    """Prints how fast a worker trains, as JSON.

    Args:
        batch: int, images in a batch of all workers together.
        repeats: int, calls of `STEPS` steps that are measured.
        synchronized: whether batch normalisation is, 0 or 1.
        core: int, the processor's core that the process may use.
    """
    from indistill_tf_tools import environment

    os.sched_setaffinity(0, {core % os.cpu_count()})
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    environment.prepare()
    from indistill_tf.training import strategies
    from indistill_tf_tools.benchmarks.paired import summary

    several = "TF_CONFIG" in os.environ
    with strategies.running("multi_worker" if several else "default"):
        step, variables = _step(batch, bool(synchronized))
        seconds = _seconds(step, repeats)
        adding = asking = [0.0]
        if several:
            adding = _seconds(_addition(variables), repeats)
            asking = _seconds(_ask, repeats)
    result = {
        "images/s": summary([batch / value for value in seconds]),
        "ms a step": summary([1000 * value for value in seconds]),
        "ms of adding up": summary([1000 * value for value in adding]),
        "ms of asking": summary([1000 * value for value in asking]),
        "bytes added up": 4 * sum(variables),
    }
    print(json.dumps(result), flush=True)


def _step(batch, synchronized):
    """Returns a function that trains, and the sizes of what it trains."""
    from indistill_tf import data
    from indistill_tf_tools.benchmarks import networks

    distiller = networks.make_distiller(
        method="okd", task=None, synchronized=synchronized
    )
    distiller.steps_per_execution = STEPS
    split, preprocessing = networks.image_set(8 * batch)
    batches = data.distributed_batches(
        split,
        preprocessing,
        data.Order(batch, seed=0, drop_remainder=True),
        data.Crop(),
    )
    run = networks.step_function(distiller, batches)
    sizes = [
        int(variable.value.shape.num_elements())
        for variable in distiller.trainable_variables
    ]
    return lambda: run(1), sizes


def _addition(sizes):
    """Returns a function that adds up numbers of all workers, step by step."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    numbers = [tf.zeros(size) for size in sizes]

    def add():
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, numbers)

    @tf.function
    def run():
        for _ in tf.range(STEPS):
            strategy.run(add)

    return run


def _ask():
    """Asks the other workers whether a signal has come, step by step."""
    from indistill_tf.training import interruption

    pending = interruption.Pending()
    for _ in range(STEPS):
        pending.anywhere(now=True)


def _seconds(run, repeats):
    """Returns the seconds of a step, one number a call of `STEPS` steps."""
    run()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        found.append((time.perf_counter() - start) / STEPS)
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
