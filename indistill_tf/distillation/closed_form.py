"""The warm-up in closed form: layers fitted to the teacher's by regression.

A convolution, with the batch normalisation behind it, is linear up to the next
activation. So the best layer, for what the student's earlier layers make of
an image, is a ridge regression of the pruned teacher's values before its
activation. Layers are fitted one after the other, each on what the fitted ones
before it compute, so that it also mends what they leave.
"""

import logging
import math

import keras
import numpy as np
from keras import layers
from keras import ops

from indistill_tf.distillation.first_images import first_images
from indistill_tf.distillation.fused import fused
from indistill_tf.distillation.patches import patches
from indistill_tf.distillation.ridge import Moments
from indistill_tf.errors import UserError
from indistill_tf.graph import counterparts
from indistill_tf.graph import endpoints

logger = logging.getLogger("indistill_tf")

# Images that `fit` takes, fewer of large ones: 1 GiB of float32.
_IMAGES = 4096
_MOST_VALUES = 2**28
# Positions in each map that a regression takes of an image.
_POSITIONS = 32
# Pixels that pass through the networks together.
_PIXELS_A_BATCH = 2**17


class ClosedFormWarmUp:
    """Mixin for a `PlannedModel`: layers of its student are fitted first."""

    def warm_up_in_closed_form(self, images: np.ndarray) -> dict[str, float]:
        """Fits the student's layers to the teacher's pruned ones.

        `fit` does it before epoch 0 where the method asks for it, with the
        first 4,096 images of its data; in a loop of your own you do. The
        fitted layers are those that `pairing` names, the others stay as they
        are.

        Args:
            images: array `[N, H, W, C]` of a few thousand images, as the
                networks read them.

        Returns:
            Dict from the layers' names to the part of the variance of the
            teacher's values that is left unexplained, 0 to 1.

        Raises:
            UserError: if the method has no such warm-up.
        """
        plan = self._plan
        if not plan.counterparts:
            raise UserError(
                f"Method {plan.method.name!r} warms nothing up in closed form. "
                "Choose 'closed_form', or a method with `closed_form=True`."
            )
        return fit_layers(plan.teacher, plan.student, plan.counterparts, images)

    def _begin(self, x, first_epoch):
        """Fits the layers to be fitted, where an epoch is the very first."""
        if not self._plan.counterparts or first_epoch or self._epochs_trained:
            return
        size = math.prod(self._plan.student.inputs[0].shape[1:])
        count = min(_IMAGES, _MOST_VALUES // size)
        self.warm_up_in_closed_form(
            first_images(x, count, self.distribute_strategy)
        )


def fit_layers(
    teacher: keras.Model,
    student: keras.Model,
    found: list[counterparts.Counterpart],
    images: np.ndarray,
) -> dict[str, float]:
    """Fits a student's layers to their counterparts, shallow to deep.

    Both networks run in inference mode. The result depends on the images and
    on the layers that are not fitted alone.

    Args:
        teacher: functional `keras.Model`.
        student: functional `keras.Model`, whose weights are changed.
        found: list of `Counterpart` of the two networks.
        images: array `[N, H, W, C]`, as the networks read them.

    Returns:
        Dict from the layers' names to the part of the targets' variance that
        is left unexplained, 0 to 1.
    """
    unexplained = {}
    for part in found:
        fit = _regression(teacher, student, part, images)
        _assign(part, fit)
        unexplained[part.layer.name] = fit.unexplained
    logger.info(
        "closed form, from %d images; variance left unexplained: %s",
        len(images),
        ", ".join(f"{name} {value:.3f}" for name, value in unexplained.items()),
    )
    return unexplained


def _regression(teacher, student, part, images):
    source = _computed(student, part.source)
    target = _computed(teacher, part.target)
    moments, random = Moments(), np.random.default_rng(0)
    size = max(_PIXELS_A_BATCH // math.prod(images.shape[1:3]), 1)
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        inputs, targets = source(batch), target(batch)[..., part.kept]
        # Positions of a map; what has been pooled or flattened has one.
        targets = targets.reshape(len(batch), -1, len(part.kept))
        order = random.random(targets.shape[:2]).argsort(axis=1)
        chosen = order[:, :_POSITIONS]
        if isinstance(part.layer, layers.Conv2D):
            inputs = patches(part.layer, inputs, chosen)
        else:
            inputs = inputs.reshape(*targets.shape[:2], -1)
            inputs = np.take_along_axis(inputs, chosen[..., None], axis=1)
        targets = np.take_along_axis(targets, chosen[..., None], axis=1)
        moments.add(_rows(inputs), _rows(targets))
    return moments.fit(
        offset=part.batch_norm is not None
        or getattr(part.layer, "use_bias", True),
        channelwise=_is_batch_norm(part.layer),
    )


def _computed(model, tensor):
    """Returns a function from images to a tensor of a model, an array."""
    view = fused(endpoints.view(model, {"it": tensor}), training=False)
    return lambda images: ops.convert_to_numpy(view(images)["it"])


def _rows(values):
    return values.reshape(-1, values.shape[-1])


def _assign(part, fit):
    layer, batch_norm = part.layer, part.batch_norm
    if _is_batch_norm(layer):
        # What it reads is as it is; the fit scales it, channel by channel.
        scale = np.diag(fit.weights)
        # Of a channel that does not vary nothing but its new mean counts.
        divisor = np.where(scale, scale, 1)
        mean, variance = fit.mean / divisor, fit.variance / divisor**2
        _normalise(layer, mean, variance, scale, fit.mean + fit.offset)
        return
    layer.kernel.assign(fit.weights.reshape(layer.kernel.shape))
    if layer.use_bias:
        bias = fit.offset if batch_norm is None else np.zeros_like(fit.offset)
        layer.bias.assign(bias)
    if batch_norm is not None:
        one = np.ones_like(fit.mean)
        _normalise(
            batch_norm, fit.mean, fit.variance, one, fit.mean + fit.offset
        )


def _normalise(layer, mean, variance, scale, centre):
    """Lets a normalisation scale what has some moments, about a new mean."""
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    if layer.scale:
        layer.gamma.assign(scale * np.sqrt(variance + layer.epsilon))
    if layer.center:
        layer.beta.assign(centre)


def _is_batch_norm(layer):
    return isinstance(layer, layers.BatchNormalization)
