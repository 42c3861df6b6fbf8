"""The distiller: one frozen teacher, one student, one training step."""

from collections.abc import Callable

import keras
import tensorflow as tf

from indistill_tf.distillation import first_step
from indistill_tf.distillation import methods
from indistill_tf.distillation.batch import Batch
from indistill_tf.distillation.plan import Plan
from indistill_tf.distillation.planned import PlannedModel
from indistill_tf.distillation.saving import SavesStudent
from indistill_tf.distillation.stage import SUPERVISED
from indistill_tf.distillation.supervised import SupervisedModel
from indistill_tf.hints import Tensor


class Distiller(SavesStudent, SupervisedModel, PlannedModel):
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

    `fit` logs `loss`, `stage`, `learning_rate`, and `loss/tap_<i>`,
    `loss/task` and `loss/supervised` before their weights. Every epoch logs
    them all: NaN is what an epoch does not compute. `evaluate` and `predict`
    speak for the student, with the loss and metrics given to `compile`; they
    change no state. `save` and `export` write the student. `sample_weight`
    applies to the supervised loss and the metrics; distillation losses compare
    whole batches, also when these are spread over replicas.

    Callbacks that watch a metric (`EarlyStopping`, `ReduceLROnPlateau`,
    `ModelCheckpoint(save_best_only=True)`, any with a `monitor`) begin with
    the task: while taps warm up or losses are prepared, their losses say
    nothing of it. Callbacks of your own may ask `self.model.warms_up()`.

    In a loop of your own (`train_on_batch`), call `set_epoch(epoch)` as each
    epoch begins, `restart_optimizer()` where `active_losses(epoch)` change, and
    before all, for a method in closed form, `warm_up_in_closed_form(images)`.

    Under a `tf.distribute` strategy, build the networks and the distiller in
    its scope.

    Args:
        teacher: functional `keras.Model`, from images to logits, or to what a
            softmax or sigmoids make of them. It runs in inference mode and is
            no part of the distiller's weights.
        student: functional `keras.Model` with the same input.
        method: a name of `indistill_tf.methods.METHODS`, or a `Method`.
            Defaults to `"indistill"`.
        task: what follows the method's warm-up instead of its own task: a
            method's name, a loss in the manner of `keras.losses` of the
            teacher's and the student's logits, a `DistillationLoss` of this
            package or of `keras.distillation`, or a list of `(loss, weight)`.
            Defaults to None.
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
        head: what the networks' outputs are: `"softmax"`, probabilities of
            classes; `"sigmoid"`, probabilities that each stand alone, of a
            binary classifier or of labels of which an image may have several;
            or `"logits"`. A last layer without activation may be any of them:
            there it says how the logits are read. One value for both, or a
            pair (teacher, student). Defaults to None: the networks say it, by
            their last layers, or behind a `Lambda` or a layer of your own by
            their values.
        outputs: of a network with several outputs, the key or the layer's name
            of the one that counts; one name for both networks, or a pair
            (teacher, student). Defaults to None.
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
        head: str | tuple | None = None,
        outputs: str | tuple | None = None,
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
            head,
            outputs,
            taps_resize,
        )
        # Tracked here: what they train is saved with the distiller.
        self.distillation_losses = plan.losses
        self._follow(plan)

    def call(self, inputs, training=False):
        """Returns the student's output.

        Args:
            inputs: images `[N, H, W, C]`, or a dict of them and more.
            training: bool. Defaults to False.
        """
        # Of several outputs the one that counts.
        student = self.student
        if len(student.outputs) > 1:
            student = self._plan.student
        return student(Batch.inputs(inputs).images, training=training)

    def train_step(self, data: tuple) -> dict:
        """Runs one step of the active stage.

        Args:
            data: `(images, labels)` or `(images, labels, sample_weight)`;
                labels may be missing where no loss needs them.

        Returns:
            Dict of logs.

        Raises:
            UserError: if labels are missing.
        """
        batch, stage = Batch.of(data), self._current
        if self._plan.supervised:
            # Also while the taps warm up: hours later would be late.
            batch.check_labels(
                "The loss against the labels",
                "With `supervised_weight=0` a method needs none.",
            )
            batch = first_step.labels_checked(
                batch, self._highest_label(batch.labels)
            )
            self.build_metrics(batch.labels)
        targets = first_step.targets_checked(
            stage.targets(batch), self.optimizer.iterations
        )
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
