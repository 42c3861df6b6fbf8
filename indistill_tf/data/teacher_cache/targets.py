"""What a teacher cache must know of a distillation."""

import dataclasses
from collections.abc import Callable

import keras

from indistill_tf.data.images.image_split import ImageSplit
from indistill_tf.data.images.split import Split
from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Targets:
    """What is read of a frozen teacher, and the network that computes it.

    Of an `indistill_tf.Distiller`, these are
    `Targets(distiller.target_names, distiller.teacher_view)`.

    Attributes:
        names: function from an epoch, counted from 0, to a tuple of strings:
            what its losses read. From None: what those of all epochs do. It
            raises a `UserError` if targets depend on more than one image.
        model: function from some of these names to the `keras.Model` from
            images to a dict by name. From None: to the teacher itself.
    """

    names: Callable[[int | None], tuple[str, ...]]
    model: Callable[[tuple[str, ...] | None], keras.Model]


def check_cacheable(split: ImageSplit, targets: Targets) -> None:
    """Checks that a teacher's targets can be computed once for all epochs.

    Args:
        split: `Split` or `EncodedSplit`.
        targets: `Targets`.

    Raises:
        UserError: if not.
    """
    if not isinstance(split, Split):
        raise UserError(
            "A teacher cache is of images in memory, and these stay in their "
            "files. Use `augmentation=crop`, or leave the teacher live "
            "(`teacher_cache_views=0`)."
        )
    targets.names(None)
