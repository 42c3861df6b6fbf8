"""What Keras 3.15 lacks to train under every `tf.distribute` strategy."""

import tensorflow as tf


class AnyStrategy:
    """Mixin for a `keras.Model` that makes `fit` work with several replicas.

    Stock Keras fails in two places: `steps_per_execution` above 1 puts a
    replica-merging call inside `tf.cond`, and `MultiWorkerMirroredStrategy`
    cannot reduce its scalar logs. With one replica, Keras' own loop is used.

    See keras issues 19246 and 20585.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Leaves building to the constructor, which has built everything."""

    def _make_function(self, step_function):
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync == 1 or self.run_eagerly:
            return super()._make_function(step_function)

        @tf.function(reduce_retracing=True, jit_compile=bool(self.jit_compile))
        def one_step(data):
            logs = strategy.run(step_function, args=(data,))
            return {
                name: strategy.reduce("MEAN", value, axis=None)
                for name, value in logs.items()
            }

        if self.steps_per_execution == 1:
            return lambda iterator: one_step(next(iterator))

        @tf.function(reduce_retracing=True)
        def several_steps(iterator):
            logs = one_step(next(iterator))
            for _ in tf.range(self.steps_per_execution - 1):
                logs = one_step(next(iterator))
            return logs

        return several_steps
