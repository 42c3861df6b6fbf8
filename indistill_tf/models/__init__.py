"""The networks of the papers, by name."""

import functools

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.models.cnn import cnn
from indistill_tf.models.resnet import cifar_resnet
from indistill_tf.models.resnet import preactivation_resnet18
from indistill_tf.models.resnet import resnet18
from indistill_tf.models.state_dict import from_state_dict
from indistill_tf.models.state_dict import to_state_dict
from indistill_tf.models.weights import load_model
from indistill_tf.models.weights import load_weights
from indistill_tf.models.weights import save_weights

_WIDE = (32, 64, 128, 256)

BUILDERS = {
    "cnn_s": functools.partial(cnn, width=8),
    "cnn_s_2": functools.partial(cnn, width=8, depth=2),
    "cnn_s_5": functools.partial(cnn, width=8, depth=5),
    "cnn_s_7": functools.partial(cnn, width=8, depth=7),
    "cnn_a": functools.partial(cnn, width=16),
    "cnn_a_2": functools.partial(cnn, width=16, depth=2),
    "cnn_a_5": functools.partial(cnn, width=16, depth=5),
    "cnn_a_7": functools.partial(cnn, width=16, depth=7),
    **{
        f"resnet{depth}": functools.partial(cifar_resnet, depth=depth)
        for depth in (8, 14, 20, 32, 44, 56, 110)
    },
    "resnet8x4": functools.partial(cifar_resnet, depth=8, widths=_WIDE),
    "resnet32x4": functools.partial(cifar_resnet, depth=32, widths=_WIDE),
    "resnet18": functools.partial(resnet18, stem="cifar"),
    "resnet18_imagenet": functools.partial(resnet18, stem="imagenet"),
    "resnet18_preactivation": preactivation_resnet18,
}


def build(name, input_shape, num_classes, **options):
    """Builds a network of the papers by name.

    Args:
        name: string, a key of `indistill_tf.models.BUILDERS`.
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        **options: further arguments of the network's builder.

    Returns:
        A functional `keras.Model` from images `[N, H, W, C]` to logits
        `[N, num_classes]`, whose layers `tap_1`, `tap_2`, ..., `embedding`
        and `logits` are its endpoints.

    Raises:
        UserError: if the name is unknown or the shapes make no network.

    Example:

    ```python
    student = indistill_tf.models.build("cnn_s", (32, 32, 3), 10)
    ```
    """
    if name not in BUILDERS:
        raise unknown_name("model", name, BUILDERS)
    if len(input_shape) != 3 or any(
        not isinstance(size, int) or size < 1 for size in input_shape
    ):
        raise UserError(
            "`input_shape` must be three positive integers (H, W, C). "
            f"Received: input_shape={input_shape}"
        )
    if num_classes < 2:
        raise UserError(
            f"`num_classes` must be 2 or more. Received: {num_classes}"
        )
    return BUILDERS[name](tuple(input_shape), num_classes, name=name, **options)


__all__ = [
    "BUILDERS",
    "build",
    "cifar_resnet",
    "cnn",
    "from_state_dict",
    "load_model",
    "load_weights",
    "preactivation_resnet18",
    "resnet18",
    "save_weights",
    "to_state_dict",
]
