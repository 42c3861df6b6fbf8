"""The distiller: one frozen teacher, one student, one training step."""

import keras
import tensorflow as tf

from indistill_tf import losses
from indistill_tf.distillation import methods
from indistill_tf.distillation.fused import fused
from indistill_tf.distillation.plan import Plan
from indistill_tf.distillation.schedules import CurriculumCallback
from indistill_tf.distribution import AnyStrategy
from indistill_tf.distribution import gathered
from indistill_tf.graph import endpoints


class Distiller(AnyStrategy, keras.Model):
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
        taps: `"auto"` or a list of `(teacher_layer, student_layer)`, shallow
            to deep. Defaults to `"auto"`.
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
        teacher,
        student,
        method="indistill",
        task=None,
        taps="auto",
        train_labels=None,
        global_batch=True,
        name="distiller",
    ):
        super().__init__(name=name)
        self.student = student
        self.method = methods.get(method, task)
        self.global_batch = global_batch
        self._plan = Plan(
            self.method, teacher, student, taps, train_labels, self._replicas
        )
        # Tracked here: what they train is saved with the distiller.
        self.distillation_losses = self._plan.losses
        self._loss_weights = self.add_weight(
            shape=(len(self._plan.terms) + 1,),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            name="loss_weights",
        )
        names = [term.name for term in self._plan.terms] + ["supervised"]
        self._trackers = [
            keras.metrics.Mean(name=f"loss/{name}") for name in names
        ]
        self._evaluating = False
        self._active = None
        # Keras takes a model whose own `call` never ran for unbuilt and would
        # leave its optimizer out of checkpoints.
        self.built = True
        self.set_epoch(0)

    @property
    def taps(self):
        """The paired layers, a list of `indistill_tf.taps.Tap`."""
        return self._plan.taps

    @property
    def pairing(self):
        """The pairs of layers as text: sizes, widths, how each is pruned."""
        return self._plan.pairing

    @property
    def needs_sample_ids(self):
        """Whether the data must say which training images a batch holds."""
        return any(loss.needs for loss in self.distillation_losses)

    @property
    def _replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    def target_names(self, epoch=None):
        """Returns what is read of the teacher, for data that bring it.

        Args:
            epoch: int, counted from 0. Defaults to None: all epochs.

        Returns:
            Tuple of strings: a layer's name or `"logits"`, `"embedding"` and
            the like; of a pruned map with its width.

        Raises:
            UserError: if the method reads what depends on more than one image.
        """
        self._plan.check_cacheable()
        active = range(len(self._plan.terms))
        if epoch is not None:
            active = self._plan.active(epoch)
        return tuple(self._plan.targets(active))

    # No property: what an attribute holds, Keras saves with the distiller.
    def teacher_view(self, names=None):
        """Returns the part of the teacher that computes some targets.

        Args:
            names: some of `target_names`. Defaults to None: the teacher
                itself.

        Returns:
            `keras.Model` from images to a dict by name, or the teacher.
        """
        if names is None:
            return self._plan.teacher
        targets = self._plan.targets(range(len(self._plan.terms)))
        chosen = {name: targets[name] for name in names}
        return fused(endpoints.view(self._plan.teacher, chosen), training=False)

    def check_epochs(self, epochs):
        """Checks that an epoch budget suffices for the method.

        Args:
            epochs: int, the budget.

        Raises:
            UserError: if not; the message prints the arithmetic.
        """
        self.method.check(epochs, self._plan.num_taps)

    def active_losses(self, epoch):
        """Returns the indices of the losses that an epoch computes.

        Args:
            epoch: int, counted from 0.
        """
        return self._plan.active(epoch)

    def set_epoch(self, epoch):
        """Sets the losses and weights of an epoch.

        Args:
            epoch: int, counted from 0.
        """
        self.stage = self.method.stage(epoch, self._plan.num_taps)
        self._loss_weights.assign(self._plan.weights(epoch))
        active = self._plan.active(epoch)
        if active != self._active:
            self._active = active
            self._current = self._plan.stage(active)
            # `fit` reads `train_function` in every step, so a callback may
            # change it; a stage read inside the compiled step would stay the
            # first.
            if self.compiled:
                self.make_train_function()
            for tracker in self._trackers:
                tracker.reset_state()

    def compile(self, optimizer="adam", loss=None, metrics=None, **kwargs):
        """Configures training, as `keras.Model.compile` does.

        Args:
            optimizer: name or instance. Defaults to `"adam"`.
            loss: the supervised loss on the student's output, weighed by the
                method's `supervised_weight`, and what `evaluate` reports.
                Defaults to sparse categorical cross-entropy, from logits or
                from probabilities, as the student ends.
            metrics: metrics of the student's output, such as `["accuracy"]`.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if loss is None:
            loss = keras.losses.SparseCategoricalCrossentropy(
                from_logits=not endpoints.ends_in_softmax(self._plan.student)
            )
        super().compile(
            optimizer=optimizer, loss=loss, metrics=metrics, **kwargs
        )
        for stage in self._plan.stages.values():
            stage.train_function = None
        self.train_function = None

    def fit(self, *args, callbacks=None, **kwargs):
        """Trains the student, as `keras.Model.fit` does.

        Args:
            *args: see `keras.Model.fit`.
            callbacks: list of callbacks. A `CurriculumCallback` is added
                where none is given.
            **kwargs: see `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.
        """
        callbacks = list(callbacks or [])
        if not any(isinstance(item, CurriculumCallback) for item in callbacks):
            callbacks.insert(0, CurriculumCallback())
        # A resumed fit leaves its first epoch behind, and the next fit would
        # silently train no epoch at all.
        self._initial_epoch = None
        return super().fit(*args, callbacks=callbacks, **kwargs)

    def build_optimizer(self):
        """Creates the optimizer's slots for the student and the losses."""
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def restart_optimizer(self):
        """Brings the optimizer back to its first step; the rate stays."""
        with self.distribute_strategy.scope():
            fresh = type(self.optimizer).from_config(
                self.optimizer.get_config()
            )
            fresh.build(self.trainable_variables)
        for variable, value in zip(self.optimizer.variables, fresh.variables):
            variable.assign(value)

    def evaluate(self, *args, **kwargs):
        """Evaluates the student, as `keras.Model.evaluate` does.

        Args:
            *args: see `keras.Model.evaluate`.
            **kwargs: see `keras.Model.evaluate`.
        """
        self._evaluating = True
        try:
            return super().evaluate(*args, **kwargs)
        finally:
            self._evaluating = False

    def call(self, inputs, training=False):
        """Returns the student's output.

        Args:
            inputs: images `[N, H, W, C]`, or a dict of them and more.
            training: bool. Defaults to False.
        """
        images, _, _ = _unpack(inputs)
        return self.student(images, training=training)

    def train_step(self, data):
        """Runs one step of the active stage.

        Args:
            data: `(images, labels)` or `(images, labels, sample_weight)`;
                labels may be missing where no loss needs them.

        Returns:
            Dict of logs.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, batch, given = _unpack(x)
        stage = self._current
        seen = losses.rotations(x) if self.method.rotations else x
        targets = {}
        if given is not None:
            targets = stage.given(given)
        elif stage.teacher:
            targets = stage.teacher(seen, training=False)
        with tf.GradientTape() as tape:
            features = {}
            if stage.student:
                features = stage.student(seen, training=True)
            if self.method.rotations and stage.supervised:
                # The images as they came are the first of their four.
                features["supervised"] = features["supervised"][::4]
            loss = self.compute_loss(
                x, y, (targets, features, batch), sample_weight, training=True
            )
            scaled = self.optimizer.scale_loss(loss)
        variables = stage.trainable_variables
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply(gradients, variables)
        self._loss_tracker.update_state(
            loss * self._replicas, sample_weight=tf.shape(x)[0]
        )
        logits = features.get("supervised")
        return self.compute_metrics(x, y, logits, sample_weight)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Returns the weighed sum of the active losses, or the supervised one.

        Args:
            x: images `[N, H, W, C]`.
            y: labels.
            y_pred: in training the teacher's and the student's endpoints of
                the stage, and what the losses need of the batch beside them;
                otherwise the student's output.
            sample_weight: optional weights `[N]`.
            training: bool. Defaults to True.

        Returns:
            Scalar, already divided by the number of replicas.
        """
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        targets, features, batch = y_pred
        stage = self._current
        total = sum(stage.student.losses) if stage.student else 0.0
        for index, term in stage.terms:
            target = targets[term.name]
            if term.kind == "preparation":
                value = term.loss.prepare(target, y)
            else:
                value = self._value(
                    term.loss, target, features[term.name], batch
                )
            self._track(index, value, x)
            total += self._loss_weights[index] * value
        total /= self._replicas
        if stage.supervised:
            total += self._supervised_loss(
                x, y, features["supervised"], sample_weight
            )
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the metrics of `compile` where the stage computes logits.

        Args:
            x: images `[N, H, W, C]`.
            y: labels.
            y_pred: the student's logits, or None.
            sample_weight: optional weights `[N]`.

        Returns:
            Dict of logs.
        """
        if y_pred is None:
            return self.get_metrics_result()
        return super().compute_metrics(x, y, y_pred, sample_weight)

    @property
    def metrics(self):
        """The metrics of the current stage."""
        hidden = set(map(id, self._trackers))
        shown = [item for item in super().metrics if id(item) not in hidden]
        if self._evaluating or self._active is None:
            return shown
        if not self._current.supervised:
            shown = [m for m in shown if m is not self._compile_metrics]
        return shown + [self._trackers[index] for index in self._active]

    def make_train_function(self, force=False):
        """Compiles the step of the active stage, or finds it compiled.

        Args:
            force: bool, whether to compile again. Defaults to False.
        """
        # Before the first step, which knows the variables of one stage only.
        self.build_optimizer()
        stage = self._current
        if force or stage.train_function is None:
            super().make_train_function(force=True)
            stage.train_function = self.train_function
        self.train_function = stage.train_function

    def _value(self, loss, target, feature, batch):
        more = {name: batch[name] for name in loss.needs if name in batch}
        together = loss.remembers or (loss.relational and self.global_batch)
        if together:
            # The loss of the whole batch, on every replica.
            target, feature, more = gathered((target, feature, more))
        return loss(target, feature, **more)

    def _supervised_loss(self, x, y, logits, sample_weight):
        # Keras' own loss is divided by the replicas and carries the student's
        # regularisers, which the stage has counted already.
        value = self._compile_loss(y, logits, sample_weight)
        self._track(-1, value * self._replicas, x)
        return self._loss_weights[-1] * value

    def _track(self, index, value, x):
        self._trackers[index].update_state(value, sample_weight=tf.shape(x)[0])


def _unpack(x):
    """Returns the images, what else the data say of them, and targets."""
    if not isinstance(x, dict):
        return x, {}, None
    known = {"sample_ids": x["sample_id"]} if "sample_id" in x else {}
    return x["image"], known, x.get("targets")
