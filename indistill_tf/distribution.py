"""What Keras 3.15 lacks to train under every `tf.distribute` strategy.

A replica is a device that trains; a worker is a process, which has one or
several replicas. Nothing here asks which strategy is the current one, but for
how many replicas and workers it has.
"""

import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from indistill_tf.hints import Tensor


def replicas() -> int:
    """Returns how many replicas the current strategy has."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def workers() -> int:
    """Returns how many processes train together."""
    return len(_tasks()[1])


def worker() -> int:
    """Returns this process's number, counted from 0; the chief is 0."""
    own, tasks = _tasks()
    return tasks.index(own)


def is_chief() -> bool:
    """Returns whether this process is the one that writes files."""
    return worker() == 0


def _tasks():
    """Returns this process's task and those of all workers, chief first."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return None, [None]
    resolver = strategy.cluster_resolver
    spec = resolver.cluster_spec()
    tasks = [
        (job, index)
        for job in ("chief", "worker")
        if job in spec.jobs
        for index in spec.task_indices(job)
    ]
    return (resolver.task_type, resolver.task_id), tasks


def barrier() -> None:
    """Waits until every worker is here."""
    if workers() > 1:
        gathered_rows(np.zeros([1], "int32"))


def on_chief(function: Callable[[], Any]) -> Any:
    """Runs a function on the chief alone, while the other workers wait.

    Under a strategy of several workers it runs outside the strategy, where it
    may make variables: within, each one waits for all workers.

    Args:
        function: without arguments.

    Returns:
        What it returns; on the other workers None.
    """
    if workers() == 1:
        return function()
    result = _outside(function) if is_chief() else None
    barrier()
    return result


def _outside(function):
    """Returns a function's result, computed where no strategy is."""
    found = []

    def run():
        try:
            found.append((function(), None))
        except BaseException as error:
            found.append((None, error))

    # Threads begin without a strategy.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    ((result, error),) = found
    if error is not None:
        raise error
    return result


def predict(
    model: keras.Model, batches: Callable[[int, int], tf.data.Dataset]
) -> np.ndarray | dict[str, np.ndarray]:
    """Returns a model's outputs, of which each worker computes its share.

    Args:
        model: `keras.Model`.
        batches: function from a worker's number and the number of workers to
            a finite `tf.data.Dataset` of its share, `(images, ...)` or
            `images`. The shares one after another are the whole.

    Returns:
        Array `[N, ...]`, or a nest of them; on every worker the whole.
    """
    share = batches(worker(), workers())
    if workers() == 1:
        return model.predict(share, verbose=0)

    @tf.function(reduce_retracing=True)
    def step(images):
        return model(images, training=False)

    parts = [
        keras.tree.map_structure(np.asarray, step(_images(batch)))
        for batch in share
    ]
    if not parts:
        # A share without images has outputs too, of no rows.
        one = step(_blank_image(share))
        parts = [keras.tree.map_structure(lambda x: np.asarray(x)[:0], one)]
    return keras.tree.map_structure(
        lambda *rows: gathered_rows(np.concatenate(rows)), *parts
    )


def _images(batch):
    return batch[0] if isinstance(batch, tuple) else batch


def _blank_image(batches):
    spec = _images(batches.element_spec)
    return tf.zeros([1, *spec.shape[1:]], spec.dtype)


def share(size: int, worker: int, workers: int) -> slice:
    """Returns which of a number of rows are a worker's; sizes differ by one.

    Args:
        size: int, of all rows.
        worker: int, counted from 0.
        workers: int.
    """
    return slice(size * worker // workers, size * (worker + 1) // workers)


def gathered_rows(rows: np.ndarray) -> np.ndarray:
    """Returns the rows of all workers one after another.

    Args:
        rows: array `[N, ...]`, where N may differ from worker to worker.
    """
    strategy = tf.distribute.get_strategy()
    here = replicas() // workers()

    def of_replica(context):
        first = context.replica_id_in_sync_group % here == 0
        return tf.constant(rows if first else rows[:0])

    values = strategy.experimental_distribute_values_from_function(of_replica)
    return strategy.gather(values, axis=0).numpy()


def gathering() -> Callable[[np.ndarray], np.ndarray]:
    """Returns a compiled function to be called again and again.

    It takes rows `[N, ...]`, of one shape and dtype each time, and returns
    those of all replicas one after another. `gathered_rows` makes its
    operations anew in each call, which takes far longer than they do.
    """
    strategy = tf.distribute.get_strategy()

    @tf.function(autograph=False)
    def gather(rows):
        # Collectives want a tensor that is on the replica's own device.
        return strategy.run(lambda: gathered(tf.identity(rows)))

    def run(rows):
        found = gather(tf.constant(rows))
        return strategy.experimental_local_results(found)[0].numpy()

    return run


def gathered(tensors: Tensor) -> Tensor:
    """Returns tensors with the samples of all replicas, in a replica.

    The gradient adds up what all replicas say of a sample.

    Args:
        tensors: tensor `[N, ...]`, or a nest of them.
    """
    if replicas() == 1:
        return tensors
    context = tf.distribute.get_replica_context()
    return keras.tree.map_structure(
        lambda part: context.all_gather(part, axis=0), tensors
    )


class AnyStrategy:
    """Mixin for a `keras.Model` that makes `fit` work with several replicas.

    Stock Keras fails in two places: `steps_per_execution` above 1 puts a
    replica-merging call inside `tf.cond`, and under
    `MultiWorkerMirroredStrategy` it cannot reduce batches and scalar logs.
    With one replica, Keras' own loop is used.

    Variables that no optimizer trains, such as the moving statistics of batch
    normalisation, are each replica's own in Keras. At the end of an epoch all
    get their mean, so that every worker ends up with the same weights.

    See keras issues 19246 and 20585.
    """

    def fit(
        self, *args: Any, callbacks: list | None = None, **kwargs: Any
    ) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit` does.

        Args:
            *args: see `keras.Model.fit`.
            callbacks: list of callbacks.
            **kwargs: see `keras.Model.fit`.
        """
        callbacks = list(callbacks or [])
        if self.distribute_strategy.num_replicas_in_sync > 1:
            # First: what the others look at and save is of all replicas.
            callbacks.insert(0, _MeanOverReplicas())
        return super().fit(*args, callbacks=callbacks, **kwargs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self._distribute_strategy
        if strategy is None:
            return
        if iterator is not None:
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(
                    lambda value: strategy.experimental_local_results(value)[0],
                    next(batches),
                )
                break
        # Metrics that were created inside the compiled step would fail.
        with strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function):
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync == 1 or self.run_eagerly:
            return super()._make_function(step_function)

        step = tf.autograph.experimental.do_not_convert(step_function)

        @tf.function(reduce_retracing=True)
        def run_steps(iterator):
            for _ in tf.range(self.steps_per_execution):
                strategy.run(step, args=(next(iterator),))
            # Read outside the replicas, where the metrics add them up.
            return self.get_metrics_result()

        return run_steps


class _MeanOverReplicas(keras.callbacks.Callback):
    """Gives all replicas the mean of what they have each for itself."""

    def on_train_begin(self, logs=None):
        self._take_mean = taking_mean(self.model)

    def on_epoch_end(self, epoch, logs=None):
        self._take_mean()


def taking_mean(model: keras.Model) -> Callable[[], None]:
    """Returns what gives all replicas the mean of what each has for itself.

    All workers call it together.

    Args:
        model: built `keras.Model` of the current strategy.
    """
    variables = [
        variable
        for variable in model.non_trainable_variables
        if keras.backend.is_float_dtype(variable.dtype)
    ]
    strategy = model.distribute_strategy

    def read():
        return [tf.identity(variable.value) for variable in variables]

    def write(means):
        for variable, mean in zip(variables, means, strict=True):
            variable.assign(mean)

    @tf.function(autograph=False)
    def take_mean():
        means = [
            strategy.reduce("MEAN", value, axis=None)
            for value in strategy.run(read)
        ]
        strategy.run(write, args=(means,))

    return take_mean
