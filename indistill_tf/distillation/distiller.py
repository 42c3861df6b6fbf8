"""The distiller: one frozen teacher, one student, one training step."""

from collections.abc import Callable

import keras
import tensorflow as tf

from indistill_tf.distillation import methods
from indistill_tf.distillation.batch import Batch
from indistill_tf.distillation.plan import Plan
from indistill_tf.distillation.planned import PlannedModel
from indistill_tf.distillation.stage import SUPERVISED
from indistill_tf.graph import endpoints
from indistill_tf.hints import Tensor


class Distiller(PlannedModel):
    """Trains a student from a frozen teacher with any method of the table.

    In each epoch the method's schedule weighs the losses. Only those with a
    weight are computed, and both networks are truncated at the deepest tap
    that they read: one teacher pass and one student pass a step, no more. The
    compiled step is kept for each set of active losses.

    The data are `(images, labels)` or `(images, labels, sample_weight)`. A
    method that contrasts the samples of the training set (`"crd"`) needs
    `({"image": images, "sample_id": ids}, labels)`, ids counting from 0.
    Where the images' dict also holds `"targets"`, the teacher's outputs by the
    names of `target_names`, these are used and the teacher is not computed.

    `fit` logs `loss`, `loss/tap_<i>`, `loss/task` and `loss/supervised` for
    the losses active in the epoch, each before its weight, and `stage`.
    `evaluate` and `predict` speak for the student, with the loss and metrics
    given to `compile`; they change no state. `sample_weight` applies to the
    supervised loss and the metrics; distillation losses compare whole batches,
    also when these are spread over replicas.

    Under a `tf.distribute` strategy, build the networks and the distiller in
    its scope.

    Args:
        teacher: functional `keras.Model`, from images to logits. It runs in
            inference mode and is no part of the distiller's weights.
        student: functional `keras.Model` with the same input.
        method: a name of `indistill_tf.methods.METHODS`, or a `Method`.
            Defaults to `"indistill"`.
        task: what follows the method's warm-up instead of its own task: a
            method's name, a `keras.losses`-like objective of the teacher's
            and the student's logits, a `DistillationLoss` of this package or
            of `keras.distillation`, or a list of `(loss, weight)`. Defaults
            to None.
        objective: `"classification"` or `"retrieval"`, see
            `indistill_tf.methods.get`. Defaults to None: a method that is
            named trains a classifier, a `Method` has its own weights.
        taps: `"auto"` or a list of `(teacher_layer, student_layer)`, shallow
            to deep. Defaults to `"auto"`.
        taps_resize: bool, whether maps whose heights or widths differ may be
            paired: the teacher's is resized, bilinearly, to the student's.
            With `taps="auto"` by at most two pixels. Defaults to False.
        train_labels: ints `[num_data]`, the class of each training image, in
            the order of the sample ids, or a function that returns them. Only
            `"crd"` asks for them. Defaults to None.
        global_batch: bool. With several replicas, losses that compare samples
            with each other see the whole batch, whatever the number of
            replicas, or with False each replica's part of it. A loss with a
            memory of samples always sees all. Defaults to True.
        name: string. Defaults to `"distiller"`.

    Raises:
        UserError: if teacher and student do not fit together.

    Example:

    ```python
    distiller = indistill_tf.Distiller(teacher=teacher, student=student)
    distiller.compile(optimizer="adam", metrics=["accuracy"])
    distiller.fit(train, epochs=70, callbacks=[CurriculumCallback()])
    distiller.student.save("student.keras")
    ```

    Attributes:
        student: the product.
        stage: int, the deepest loss of the epoch's schedule, counted from 1;
            T + 1 is the task after T taps, 0 a preparation.
        taps: list of `indistill_tf.taps.Tap`.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), eq. 7
    """

    def __init__(
        self,
        *,
        teacher: keras.Model,
        student: keras.Model,
        method: methods.Method | str = "indistill",
        task: object = None,
        objective: str | None = None,
        taps: list[tuple[str, str]] | str = "auto",
        taps_resize: bool = False,
        train_labels: Tensor | Callable[[], Tensor] | None = None,
        global_batch: bool = True,
        name: str = "distiller",
    ):
        super().__init__(name=name)
        self.student = student
        self.method = methods.get(method, task, objective)
        plan = Plan(
            self.method,
            teacher,
            student,
            taps,
            train_labels,
            global_batch,
            self._replicas,
            self._supervised_loss,
            taps_resize,
        )
        # Tracked here: what they train is saved with the distiller.
        self.distillation_losses = plan.losses
        self._follow(plan)

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
                Defaults to sparse categorical cross-entropy, from logits or
                from probabilities, as the student ends.
            metrics: metrics of the student's output, such as `["accuracy"]`.
                Where no loss of the method trains the output, a warning says
                so.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if loss is None:
            loss = keras.losses.SparseCategoricalCrossentropy(
                from_logits=not endpoints.ends_in_softmax(self._plan.student)
            )
        if metrics or kwargs.get("weighted_metrics"):
            self._plan.warn_of_untrained()
        super().compile(
            optimizer=optimizer, loss=loss, metrics=metrics, **kwargs
        )

    def call(self, inputs, training=False):
        """Returns the student's output.

        Args:
            inputs: images `[N, H, W, C]`, or a dict of them and more.
            training: bool. Defaults to False.
        """
        return self.student(Batch.inputs(inputs).images, training=training)

    def train_step(self, data: tuple) -> dict:
        """Runs one step of the active stage.

        Args:
            data: `(images, labels)` or `(images, labels, sample_weight)`;
                labels may be missing where no loss needs them.

        Returns:
            Dict of logs.
        """
        batch, stage = Batch.of(data), self._current
        targets = stage.targets(batch)
        with tf.GradientTape() as tape:
            features = stage.features(batch)
            loss = self._stage_loss(targets, features, batch)
            scaled = self.optimizer.scale_loss(loss)
        variables = stage.trainable_variables
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply(gradients, variables)
        self._loss_tracker.update_state(
            loss * self._replicas, sample_weight=tf.shape(batch.images)[0]
        )
        if not stage.supervised:
            return self.get_metrics_result()
        return self.compute_metrics(
            batch.images,
            batch.labels,
            features[SUPERVISED],
            batch.sample_weight,
        )

    def _stage_loss(self, targets, features, batch):
        """Returns the weighed sum of the active losses.

        It is divided by the number of replicas, as their gradients add up.
        """
        stage = self._current
        total = sum(stage.student.losses) if stage.student else 0.0
        for index, term in stage.terms:
            value = term.value(
                targets.get(term.name), features.get(term.name), batch
            )
            self._trackers[index].update_state(
                value, sample_weight=tf.shape(batch.images)[0]
            )
            # The loss of `compile` has the dtype of the policy.
            total += self._loss_weights[index] * tf.cast(value, tf.float32)
        return total / self._replicas

    def _supervised_loss(self, labels, outputs, sample_weight):
        # Keras divides the loss of `compile` by the replicas, and adds the
        # student's regularisers, which the stage has counted, elsewhere.
        return (
            self._compile_loss(labels, outputs, sample_weight) * self._replicas
        )
