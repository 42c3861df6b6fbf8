"""A model that follows a plan: in each epoch the losses of one stage."""

import inspect
import logging

import keras
import tensorflow as tf

from indistill_tf.distillation import first_step
from indistill_tf.distillation.callbacks import prepared
from indistill_tf.distillation.closed_form import ClosedFormWarmUp
from indistill_tf.distillation.logs import LogsOfStages
from indistill_tf.distillation.restarts import Restartable
from indistill_tf.distribution import AnyStrategy
from indistill_tf.errors import UserError
from indistill_tf.finite import check_weights
from indistill_tf.finite_training import FiniteTraining

logger = logging.getLogger("indistill_tf")


class PlannedModel(
    ClosedFormWarmUp,
    LogsOfStages,
    Restartable,
    FiniteTraining,
    AnyStrategy,
    keras.Model,
):
    """What lets `fit` change its losses from epoch to epoch.

    The losses' weights are variables, and a compiled step is kept for each set
    of active losses: a change of weights costs nothing, a new stage one trace.

    Subclasses call `_follow` with their `Plan` when they have made what they
    train.

    Args:
        name: string.

    Attributes:
        stage: int, the deepest loss of the epoch's schedule, counted from 1;
            T + 1 is the task after T taps, 0 a preparation.
    """

    def _follow(self, plan):
        """Takes over the losses of a `Plan`, and sets the first epoch."""
        self._plan = plan
        self._loss_weights = self.add_weight(
            shape=(len(plan.terms),),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            name="loss_weights",
        )
        self._trackers = [
            keras.metrics.Mean(name=f"loss/{term.name}") for term in plan.terms
        ]
        self._evaluating = False
        self._active = None
        self._epochs_trained = 0
        self._budget_was_short = False
        # Keras takes a model whose own `call` never ran for unbuilt and would
        # leave its optimizer out of checkpoints.
        self.built = True
        self.set_epoch(0)
        self._epoch_was_set = False

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
        return any("sample_ids" in loss.needs for loss in self._plan.losses)

    def target_names(self, epoch: int | None = None) -> tuple[str, ...]:
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
        return tuple(self._plan.targets(self._plan.active(epoch)))

    # No property: what an attribute holds, Keras saves with the distiller.
    def teacher_view(self, names: tuple[str, ...] | None = None) -> keras.Model:
        """Returns the part of the teacher that computes some targets.

        Args:
            names: some of `target_names`. Defaults to None: the teacher
                itself.

        Returns:
            `keras.Model` from images to a dict by name, or the teacher.
        """
        if names is None:
            return self._plan.teacher
        return self._plan.teacher_view(names)

    def active_losses(self, epoch: int | None) -> tuple[int, ...]:
        """Returns the indices of the losses that an epoch computes.

        Args:
            epoch: int, counted from 0.
        """
        return self._plan.active(epoch)

    def warms_up(self) -> bool:
        """Returns whether the current epoch comes before the task."""
        return self.stage <= self._plan.num_taps

    def describe_loss(self, name: str) -> str | None:
        """Returns which layers a loss of the logs compares.

        Args:
            name: string, such as `"loss/tap_1"`.

        Returns:
            String, or None for a loss that the epoch does not compute.
        """
        for index in self._active:
            term = self._plan.terms[index]
            if name == f"loss/{term.name}":
                return f"{name} ({term.compared})"
        return None

    def check_epochs(self, epochs: int) -> None:
        """Checks that an epoch budget suffices for the method.

        Args:
            epochs: int, the budget.

        Raises:
            UserError: if not; the message prints the arithmetic.
        """
        self._plan.method.check(epochs, self._plan.num_taps)

    def set_epoch(self, epoch: int | None) -> None:
        """Sets the losses and weights of an epoch.

        Args:
            epoch: int, counted from 0.
        """
        plan = self._plan
        self._epoch_was_set = True
        self.stage = plan.method.stage(epoch, plan.num_taps)
        self._loss_weights.assign(plan.weights(epoch))
        active = plan.active(epoch)
        if active == self._active:
            return
        self._active = active
        self._current = plan.stage(active)
        # `fit` reads `train_function` in every step, so a callback may change
        # it; a stage read inside the compiled step would stay the first.
        if self.compiled:
            self.make_train_function()
        for tracker in self._trackers:
            tracker.reset_state()

    def compile(self, *args, **kwargs) -> None:
        """Configures training, as `keras.Model.compile` does.

        Args:
            *args: see `keras.Model.compile`.
            **kwargs: see `keras.Model.compile`.
        """
        super().compile(*args, **kwargs)
        for stage in self._plan.stages.values():
            stage.train_function = None
        self.train_function = None

    def make_train_function(self, force: bool = False) -> None:
        """Compiles the step of the active stage, or finds it compiled.

        Args:
            force: bool, whether to compile again. Defaults to False.
        """
        # Before the first step, which knows the variables of one stage only.
        self.build_optimizer()
        stage = self._current
        if force or stage.train_function is None:
            super().make_train_function(force=True)
            stage.train_function = self._traced_once(self.train_function)
        self.train_function = stage.train_function

    def _traced_once(self, train_function):
        """Returns a step that creates its metrics before it is traced.

        TensorFlow traces a function a second time if it created variables.
        """

        def train(iterator):
            # Of replicas, Keras has built them; a single batch has no spec.
            if isinstance(iterator, tf.data.Iterator):
                spec = iterator.element_spec
                labels = keras.utils.unpack_x_y_sample_weight(spec)[1]
                if self._plan.supervised and isinstance(labels, tf.TensorSpec):
                    self.build_metrics(labels)
            return train_function(iterator)

        return train

    def fit(self, *args, **kwargs) -> keras.callbacks.History:
        """Trains the student, as `keras.Model.fit` does.

        The epochs must suffice for the method's schedule, unless
        `initial_epoch` is given, be it 0: then the epochs are a part of a
        longer training, `fit(epochs=e + 1, initial_epoch=e)`, whose length
        only the caller knows. To train longer, go on with `initial_epoch`: a
        `fit` without begins with the schedule's first epoch.

        Args:
            *args: see `keras.Model.fit`.
            **kwargs: see `keras.Model.fit`. A `CurriculumCallback` is added to
                the callbacks where they have none.

        Returns:
            `keras.callbacks.History`.

        Raises:
            UserError: if the epochs do not suffice, labels do not fit the
                output, or a loss, a weight or what the teacher says is not
                finite.
        """
        signature = inspect.signature(keras.Model.fit)
        given = signature.bind(self, *args, **kwargs).arguments
        del given["self"]
        self._check_budget(given)
        self._say_what_is_passed_by()
        check_weights(self._plan.teacher, "the teacher")
        self._begin(given.get("x"), given.get("initial_epoch", 0))
        # A resumed fit leaves its first epoch behind, and the next fit would
        # silently train no epoch at all.
        self._initial_epoch = None
        verbose = given.get("verbose", "auto")
        callbacks = prepared(given.pop("callbacks", None), self, verbose != 0)
        with first_step.refusing():
            self._check_given(given)
            history = super().fit(**given, callbacks=callbacks)
        if history.epoch:
            self._epochs_trained = history.epoch[-1] + 1
        return history

    def _say_what_is_passed_by(self):
        if self._plan.augmenting:
            logger.warning(
                "The student's layers %s are passed by in training: the "
                "teacher must see the same images. Augment the data instead.",
                ", ".join(self._plan.augmenting),
            )

    def _check_budget(self, given):
        first = given.get("initial_epoch", 0)
        try:
            self.check_epochs(given.get("epochs", 1))
        except UserError as error:
            if "initial_epoch" not in given:
                raise
            if not self._budget_was_short:
                logger.warning("A `fit` that ends in the warm-up: %s", error)
            self._budget_was_short = True
        if first < self._epochs_trained and self._plan.warms_up(first):
            logger.warning(
                "The schedule begins anew with epoch %d, after %d epochs of "
                "training. To go on, use `initial_epoch=%d`.",
                first,
                self._epochs_trained,
                self._epochs_trained,
            )

    def train_on_batch(self, *args, **kwargs) -> list | dict | float:
        """Trains on one batch, as `keras.Model.train_on_batch` does.

        The losses are those of the epoch that `set_epoch` was given last.

        Args:
            *args: see `keras.Model.train_on_batch`.
            **kwargs: see `keras.Model.train_on_batch`.
        """
        if self.warms_up() and not self._epoch_was_set:
            self._epoch_was_set = True
            logger.warning(
                "`train_on_batch` trains the warm-up's first losses (%s) until "
                "`set_epoch(epoch)` is called.",
                ", ".join(self._plan.terms[i].name for i in self._active),
            )
        with first_step.refusing():
            return super().train_on_batch(*args, **kwargs)

    @property
    def _replicas(self):
        return self.distribute_strategy.num_replicas_in_sync
