"""What `fit` takes beside the compiled steps."""

import functools
import itertools

import keras

from indistill_tf.training import Recipe
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired


def fit(data_dir=None, repeats=5, count=390):
    """Measures `Distiller.fit` against calls of its compiled step alone.

    One epoch of each stage, on the same prepared batches; `fit` has the
    callback of the curriculum, no output, and reads the logs once. Once it
    runs a step in each call of the compiled function, as Keras does by
    itself, and once as many as the tools choose.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of an epoch. Defaults to 390, as of CIFAR-10.

    Returns:
        Dict from stages to what `paired` returns, of steps a second; a ratio
        of 0.95 is an overhead of about 5 percent.
    """
    del data_dir
    data, bare = networks.batches(), networks.make_distiller()
    chosen = Recipe(batch_size=networks.BATCH).steps_per_execution(
        count, networks.SHAPE
    )
    distillers = {
        executed: networks.make_distiller(steps_per_execution=executed)
        for executed in (1, chosen)
    }
    epochs = networks.stage_epochs(bare)
    rows = {}
    for number, last in enumerate(itertools.accumulate(epochs), start=1):
        first = last - epochs[number - 1]
        steps = functools.partial(
            networks.step_function(bare, data, first), count
        )
        for executed, distiller in distillers.items():
            whole = functools.partial(
                distiller.fit,
                data,
                initial_epoch=first,
                epochs=sum(epochs),
                steps_per_epoch=count,
                callbacks=[_OneEpoch()],
                shuffle=False,
                verbose=0,
            )
            rows[f"stage {number}, {executed} a call"] = paired(
                whole, steps, count, repeats
            )
    return rows


class _OneEpoch(keras.callbacks.Callback):
    """Ends `fit` where it would go on to the rest of the schedule."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True
