"""What labels are to a distiller: its loss beside the teacher, its metrics."""

import keras
import numpy as np
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.distillation import first_step
from indistill_tf.distillation import supervision
from indistill_tf.distillation.batch import Batch
from indistill_tf.graph.heads import Head


class SupervisedModel:
    """Mixin for a planned model: loss and metrics that its student can have."""

    def compile(
        self,
        optimizer: keras.Optimizer | str = "adam",
        loss: object = None,
        metrics: list | None = None,
        **kwargs,
    ) -> None:
        """Configures training, as `keras.Model.compile` does.

        Args:
            optimizer: name or instance. Defaults to `"adam"`.
            loss: the supervised loss on the student's output, weighed by the
                method's `supervised_weight`, and what `evaluate` reports.
                Defaults to cross-entropy as the student ends: the sparse
                categorical one, from logits or from probabilities, or the
                binary one of sigmoids.
            metrics: metrics of the student's output, such as `["accuracy"]`,
                which is that of each sigmoid where the student ends in these.
                Where no loss of the method trains the output, a warning says
                so.
            **kwargs: further arguments of `keras.Model.compile`.

        Raises:
            UserError: if the loss is of another kind of output than the
                student has.
        """
        head = self._plan.output_head
        if loss is None:
            loss = losses.crossentropy(head)
        else:
            supervision.check_loss(loss, self._plan)
        if metrics or kwargs.get("weighted_metrics"):
            self._plan.warn_of_untrained()
        super().compile(
            optimizer=optimizer,
            loss=loss,
            metrics=supervision.metrics(
                metrics, supervision.read_by(loss, head)
            ),
            **kwargs,
        )

    @property
    def student_head(self) -> str | None:
        """What the student's output is, as `head` says it.

        Logits are read as the supervised loss of `compile` reads them. None
        where it is not known and nothing depends on it.
        """
        head = self.output_head()
        return head and head.told

    # No property: what an attribute holds, Keras looks into when it saves.
    def output_head(self) -> Head | None:
        """Returns what the student's output is, or None as `student_head`."""
        head = self._plan.output_head
        return supervision.read_by(self.loss, head) if self.compiled else head

    def test_step(self, data: tuple) -> dict:
        """Evaluates the student on a batch.

        Args:
            data: `(images, labels)` or `(images, labels, sample_weight)`.

        Returns:
            Dict of logs.

        Raises:
            UserError: if labels are missing.
        """
        Batch.of(data).check_labels("Evaluation", "`predict` needs none.")
        return super().test_step(data)

    def _highest_label(self, labels):
        units = self._plan.student.outputs[0].shape[-1]
        return supervision.highest_label(labels, units, self.loss)

    def _check_given(self, given):
        """Checks labels that are given as arrays, all of them at once."""
        supervision.check_given(given)
        if not self._plan.supervised:
            return
        validation = given.get("validation_data")
        pairs = [(given.get("x"), given.get("y"))]
        if isinstance(validation, (tuple, list)):
            pairs.append(validation)
        for _, labels, *_ in pairs:
            if isinstance(labels, (np.ndarray, tf.Tensor)):
                highest = self._highest_label(labels)
                if highest is not None and len(labels):
                    first_step.check_labels(labels, highest)

    def _supervised_loss(self, labels, outputs, sample_weight):
        supervision.check_labels(labels, outputs, self.loss)
        # Keras divides the loss of `compile` by the replicas, and adds the
        # student's regularisers, which the stage has counted, elsewhere.
        return (
            self._compile_loss(labels, outputs, sample_weight) * self._replicas
        )
