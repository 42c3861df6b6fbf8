"""A stage: the active losses of an epoch, and the networks up to them."""

import dataclasses

import keras

from indistill_tf import losses

# The name of the student's output and of its loss against the labels.
SUPERVISED = "supervised"


@dataclasses.dataclass
class Stage:
    """What one set of active losses needs: both networks, truncated.

    Attributes:
        terms: tuple of `(index, term)`, the active ones.
        teacher: view from images to a dict by term, or None if no term asks.
        student: view from images to a dict by term, or None while a loss is
            prepared.
        rotated: bool, whether both see each image in four rotations.
        train_function: the compiled step, once there is one.
    """

    terms: tuple
    teacher: keras.Model | None
    student: keras.Model | None
    rotated: bool = False
    train_function: object = None

    @property
    def supervised(self):
        """Whether the student's output is computed."""
        return any(term.name == SUPERVISED for _, term in self.terms)

    @property
    def trainable_variables(self):
        """The variables that the stage trains; all have gradients."""
        variables = list(
            self.student.trainable_variables if self.student else []
        )
        for _, term in self.terms:
            variables += term.trainable_variables
        return variables

    def targets(self, batch):
        """Returns what the terms read of the teacher, a dict by term.

        Args:
            batch: `Batch`; where it brings the targets the teacher is not
                computed.
        """
        if batch.targets is not None:
            return {
                term.name: term.given(batch.targets)
                for _, term in self.terms
                if term.reads
            }
        if self.teacher is None:
            return {}
        return self.teacher(self._seen(batch), training=False)

    def features(self, batch):
        """Returns what the terms read of the student, a dict by term.

        Args:
            batch: `Batch`.
        """
        if self.student is None:
            return {}
        features = self.student(self._seen(batch), training=True)
        if self.rotated and self.supervised:
            # The images as they came are the first of their four.
            features[SUPERVISED] = features[SUPERVISED][::4]
        return features

    def _seen(self, batch):
        return losses.rotations(batch.images) if self.rotated else batch.images
