"""What `fit` takes beside the compiled steps."""

import itertools

import keras

from indistill_tf.benchmark import networks
from indistill_tf.benchmark.paired import paired


def fit(data_dir=None, repeats=5, count=390):
    """Measures `Distiller.fit` against calls of its compiled step alone.

    One epoch of each stage, on the same prepared batches; `fit` has the
    callback of the curriculum, no output, and reads the logs once.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of an epoch. Defaults to 390, as of
            CIFAR-10.

    Returns:
        Dict from stages to what `paired` returns, of steps a second; a ratio
        of 0.95 is an overhead of about 5 percent.
    """
    del data_dir
    data = networks.batches()
    distiller = networks.make_distiller()
    epochs = networks.stage_epochs(distiller)
    firsts = [0, *itertools.accumulate(epochs)][:-1]
    rows = {}
    for number, first in enumerate(firsts, start=1):
        bare = networks.step_function(distiller, data, first)

        def whole(first=first):
            distiller.fit(
                data,
                initial_epoch=first,
                epochs=sum(epochs),
                steps_per_epoch=count,
                callbacks=[_OneEpoch()],
                verbose=0,
            )

        rows[f"stage {number}"] = paired(
            whole, lambda bare=bare: bare(count), count, repeats
        )
    return rows


class _OneEpoch(keras.callbacks.Callback):
    """Ends `fit` where it would go on to the rest of the schedule."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True
