"""What `fit` takes beside the compiled steps."""

import functools
import itertools
import time

from indistill_tf.finite import FiniteCheck
from indistill_tf.training import Recipe
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired
from indistill_tf_tools.benchmarks.paired import summary


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
            whole = networks.one_epoch(distiller, data, first, count)
            rows[f"stage {number}, {executed} a call"] = paired(
                whole, steps, count, repeats
            )
    return rows


def finite(data_dir=None, repeats=5, count=390):
    """Measures `Distiller.fit` as it is against `fit` that lets NaN pass.

    One epoch of the first tap and one of the task, on the same prepared
    batches and the same distiller, a step a call and as many as the tools
    choose.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        count: int, the steps of an epoch. Defaults to 390, as of CIFAR-10.

    Returns:
        Dict from stages to what `paired` returns, of steps a second; a ratio
        of 0.99 is a check that takes about 1 percent. `share` is the part of
        the time of `fit` that passes inside the check: median, lowest and
        highest. It is far steadier than the ratio.
    """
    del data_dir
    data = networks.batches()
    chosen = Recipe(batch_size=networks.BATCH).steps_per_execution(
        count, networks.SHAPE
    )
    rows = {}
    for executed in (1, chosen):
        distiller = networks.make_distiller(steps_per_execution=executed)
        *taps, task = networks.stage_epochs(distiller)
        for name, first in (("first tap", 0), ("task", sum(taps))):
            one_epoch = networks.one_epoch(distiller, data, first, count)
            rows[f"{name}, {executed} a call"] = paired(
                one_epoch,
                functools.partial(
                    one_epoch, callbacks=[networks.OneEpoch(), _Unchecked()]
                ),
                count,
                repeats,
            )
            shares = [_share(one_epoch) for _ in range(repeats)]
            rows[f"{name}, {executed} a call"]["share"] = summary(shares)
    return rows


def _share(one_epoch):
    """Returns the part of an epoch's time that passes in the check."""
    check, start = _Timed(), time.perf_counter()
    one_epoch(callbacks=[networks.OneEpoch(), check])
    return check.seconds / (time.perf_counter() - start)


class _Timed(FiniteCheck):
    """The check, which adds up the seconds that it takes."""

    seconds = 0.0

    def on_train_begin(self, logs=None):
        self._timed(super().on_train_begin, logs)

    def on_train_batch_end(self, batch, logs=None):
        self._timed(super().on_train_batch_end, batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._timed(super().on_epoch_end, epoch, logs)

    def _timed(self, hook, *arguments):
        start = time.perf_counter()
        hook(*arguments)
        self.seconds += time.perf_counter() - start


class _Unchecked(FiniteCheck):
    """Stands where the check would, and looks at nothing."""

    def on_train_begin(self, logs=None):
        pass

    def on_train_batch_end(self, batch, logs=None):
        pass

    def on_epoch_end(self, epoch, logs=None):
        pass
