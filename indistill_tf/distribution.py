"""What Keras 3.15 lacks to train under every `tf.distribute` strategy."""

import keras
import tensorflow as tf


def replicas():
    """Returns how many replicas the current strategy has."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def gathered(tensors):
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

    See keras issues 19246 and 20585.
    """

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
