"""Which losses and metrics an epoch logs, and which an evaluation."""

import contextlib

import keras


class LogsOfStages:
    """Mixin for a `PlannedModel`: what it logs, in training and evaluation.

    A stage computes its own losses, and the metrics of `compile` where it
    computes the student's output. An evaluation knows those metrics alone.
    """

    @property
    def metrics(self):
        """The metrics of `compile`, and of all losses but in an evaluation."""
        hidden = set(map(id, self._trackers))
        shown = [item for item in super().metrics if id(item) not in hidden]
        return shown if self._evaluating else shown + self._trackers

    def get_metrics_result(self) -> dict:
        """Returns the values of what the current stage computes."""
        results = {}
        for metric in self._computed():
            result = metric.result()
            if not isinstance(result, dict):
                result = {metric.name: result}
            results.update(result)
        return results

    def _computed(self):
        if self._evaluating:
            return self.metrics
        idle = {id(tracker) for tracker in self._trackers}
        idle -= {id(self._trackers[index]) for index in self._active}
        if not self._current.supervised:
            idle.add(id(self._compile_metrics))
        return [item for item in self.metrics if id(item) not in idle]

    def build_metrics(self, labels) -> None:
        """Creates the metrics of `compile`, also before a stage computes them.

        Args:
            labels: tensor, of a batch.
        """
        metrics = self._compile_metrics
        if metrics is not None and not metrics.built:
            metrics.build(labels, self._plan.student.outputs[0])

    def log_names(self) -> list[str]:
        """Returns the names of all losses and metrics that an epoch may log."""
        names = [self._trackers[i].name for i in self._plan.ever_active()]
        metrics = self._compile_metrics
        if self._plan.supervised and metrics is not None and metrics.built:
            names += metrics.result()
        return names

    def learning_rate(self) -> float:
        """Returns the optimizer's current learning rate."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def evaluate(self, *args, **kwargs) -> list | dict | float:
        """Evaluates the student, as `keras.Model.evaluate` does.

        Args:
            *args: see `keras.Model.evaluate`.
            **kwargs: see `keras.Model.evaluate`.
        """
        with self._speaking_for_the_student():
            return super().evaluate(*args, **kwargs)

    def test_on_batch(self, *args, **kwargs) -> list | dict | float:
        """Evaluates on one batch, as `keras.Model.test_on_batch` does.

        Args:
            *args: see `keras.Model.test_on_batch`.
            **kwargs: see `keras.Model.test_on_batch`.
        """
        with self._speaking_for_the_student():
            return super().test_on_batch(*args, **kwargs)

    @contextlib.contextmanager
    def _speaking_for_the_student(self):
        self._evaluating = True
        try:
            yield
        finally:
            self._evaluating = False
