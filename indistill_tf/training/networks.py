"""Networks by name, from a file or made by a function, for a set of images."""

import dataclasses
import logging
import re
from collections.abc import Callable

import keras

from indistill_tf import models
from indistill_tf.data import ImageSet
from indistill_tf.distribution import replicas
from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.graph import heads
from indistill_tf.graph import widening
from indistill_tf.hints import Path
from indistill_tf.models import pixels as own_pixels
from indistill_tf.options import option
from indistill_tf.training import teacher_score

logger = logging.getLogger("indistill_tf")

AUTO = "auto"
PIXELS = (own_pixels.NORMALIZED, *own_pixels.RANGES)

_KERAS_WEIGHTS = re.compile(r"imagenet|.*(?<!\.weights)\.h5")


@dataclasses.dataclass(frozen=True)
class Network:
    """What a network is, and how long it is trained.

    Attributes:
        name: a name that `indistill_tf.models.build` knows; as a teacher also
            a `.keras` file; as an auxiliary also `"auto"`, for the student
            widened by `1 / (1 - pruning_rate)`; or a function without
            arguments that returns a new `keras.Model`.
        weights: trained weights, see `build_network`, or None for new ones.
        epochs: int, or None for the recipe's.
        pruning_rate: float from 0 to below 1, q of `"auto"`.
        head: what its output is, see `Distiller`; None where it says so itself.
        outputs: the one that counts of several outputs, see `Distiller`.
        synchronized: whether batch normalisation of the papers' networks takes
            the statistics of the batch over all replicas, or each its own.
        pixels: what the network reads: `"normalized"` images, as the set is
            prepared; `"raw"` pixels of 0..255, where it scales them itself; or
            `"unit"` pixels of 0..1. Others than normalised ones are made of
            these in front of it.

    Raises:
        UserError: if the number of epochs is not above 0, or the pixels are
            unknown.
    """

    name: str | Callable[[], keras.Model]
    weights: Path | None = None
    epochs: int | None = None
    pruning_rate: float = 0.5
    head: str | None = option(
        None,
        "what it ends in, if it does not say so",
        choices=["softmax", "sigmoid", "logits"],
        flag="teacher_head",
        rare=True,
    )
    outputs: str | None = option(
        None, "which of several counts", flag="teacher_outputs", rare=True
    )
    pixels: str = option(
        "normalized",
        "what it reads: raw is 0..255, unit 0..1",
        choices=["normalized", "raw", "unit"],
        flag="teacher_pixels",
    )
    synchronized: bool = option(
        True,
        "batch normalisation over all replicas",
        flag="synchronize_batch_norm",
        rare=True,
    )

    def __post_init__(self):
        if self.pixels not in PIXELS:
            raise unknown_name("pixels", self.pixels, PIXELS)
        if self.epochs is not None and self.epochs < 1:
            raise UserError(
                f"Network {self.name!r} is trained for one epoch or more, or "
                f"None for the recipe's. Received: epochs={self.epochs}"
            )

    def build(self, images: ImageSet) -> keras.Model:
        """Returns the network, untrained unless it has weights.

        Args:
            images: `indistill_tf.data.ImageSet` that it will read.

        Raises:
            UserError: if the name is unknown or the weights do not fit.
        """
        if callable(self.name):
            network = self.name()
        else:
            network = build_network(
                self.name, images, self.weights, self.synchronized
            )
        chosen = heads.chosen(network, self.outputs)
        return self._on_its_pixels(heads.declared(chosen, self.head), images)

    def read(self, images: ImageSet, role: str = "teacher") -> keras.Model:
        """Returns the network, trained: see `read_teacher`.

        A warning says where its pixels seem to be others.

        Args:
            images: `indistill_tf.data.ImageSet` that it will read.
            role: string, what it is called. Defaults to `"teacher"`.

        Raises:
            UserError: if there is no such network or it does not fit.
        """
        network = read_teacher(
            self.name, self.weights, images, self.head, self.outputs, role
        )
        if self.pixels == own_pixels.NORMALIZED:
            teacher_score.compare_pixels(network, images, role)
        return self._on_its_pixels(network, images)

    def _on_its_pixels(self, network, images):
        prepared = images.preprocessing
        return own_pixels.reading(
            network, self.pixels, prepared.mean, prepared.std
        )


@dataclasses.dataclass(frozen=True)
class Widened:
    """A network of another's kind with more channels.

    Attributes:
        network: `Network`, the narrow one.
        pruning_rate: float, q: it is `1 / (1 - q)` as wide.
    """

    network: Network
    pruning_rate: float

    def build(self, images: ImageSet) -> keras.Model:
        """Returns the untrained network.

        Args:
            images: `indistill_tf.data.ImageSet` that it will read.
        """
        return widening.widen(self.network.build(images), self.pruning_rate)


def as_network(network: Network | Path | Callable[[], keras.Model]) -> Network:
    """Returns a `Network`, also of a name or a file alone.

    Args:
        network: `Network`, or what its `name` may be.
    """
    return network if isinstance(network, Network) else Network(network)


def build_network(
    name: Path,
    images: ImageSet,
    weights: Path | None = None,
    synchronized: bool = True,
) -> keras.Model:
    """Returns a new network for a set of images.

    Args:
        name: a name that `indistill_tf.models.build` knows.
        images: `indistill_tf.data.ImageSet`.
        weights: None for new ones; a file, see
            `indistill_tf.models.load_weights`; or for a network of
            `keras.applications` `"imagenet"`, or a file that it offers for
            download (`.h5`). Defaults to None.
        synchronized: bool, see `Network`. Defaults to True.

    Raises:
        UserError: if the name is unknown or the weights do not fit.
    """
    if name in models.APPLICATIONS:
        return _build_application(name, images, weights)
    model = models.build(
        name,
        images.input_shape,
        images.num_classes,
        synchronized=synchronized and replicas() > 1,
    )
    if weights is not None:
        models.load_weights(model, weights)
    return model


def read_teacher(
    name: Path,
    weights: Path | None,
    images: ImageSet,
    head: str | None = None,
    outputs: str | None = None,
    role: str = "teacher",
) -> keras.Model:
    """Returns a trained network that can read a set of images.

    Args:
        name: a `.keras` file, or with weights a name as in `build_network`.
        weights: see `build_network`; None for a `.keras` file.
        images: `indistill_tf.data.ImageSet`.
        head: see `Network`. Defaults to None.
        outputs: see `Network`. Defaults to None.
        role: string, what it is called. Defaults to `"teacher"`.

    Raises:
        UserError: if there is no such network or it does not fit.
    """
    if weights is None:
        model = models.load_model(name)
    else:
        model = build_network(name, images, weights)
    model = heads.declared(heads.chosen(model, outputs), head)
    heads.output_of(model)
    images.check(model)
    logger.info("%s: read from %s", role, weights or name)
    return model


def _build_application(name, images, weights):
    # What Keras offers for download is read by its own reader.
    from_keras = weights and _KERAS_WEIGHTS.fullmatch(str(weights))
    model = models.build(
        name,
        images.input_shape,
        images.num_classes,
        mean=images.preprocessing.mean,
        std=images.preprocessing.std,
        weights=str(weights) if from_keras else None,
    )
    if weights and not from_keras:
        models.load_weights(model, weights)
    return model
