"""The networks of the papers, by name."""

import functools
from typing import Any

import keras

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.models.applications import APPLICATIONS
from indistill_tf.models.applications import application
from indistill_tf.models.clip_resnet import clip_resnet
from indistill_tf.models.cnn import cnn
from indistill_tf.models.mobilenet import mobilenet_v1
from indistill_tf.models.plain_cnn import plain_cnn
from indistill_tf.models.preactivation_resnet import preactivation_resnet18
from indistill_tf.models.resnet import cifar_resnet
from indistill_tf.models.resnet import four_stage_resnet
from indistill_tf.models.text_transformer import text_transformer
from indistill_tf.models.tower import tower
from indistill_tf.models.vgg import vgg
from indistill_tf.models.vit import vit
from indistill_tf.models.weights.loading import load_model
from indistill_tf.models.weights.loading import load_weights
from indistill_tf.models.weights.loading import save_weights
from indistill_tf.models.weights.state_dict import from_state_dict
from indistill_tf.models.weights.state_dict import to_state_dict
from indistill_tf.models.wide_resnet import wide_resnet

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
    **{
        f"resnet{depth}": functools.partial(
            four_stage_resnet, depth=depth, stem="cifar"
        )
        for depth in (18, 34, 50)
    },
    **{
        f"resnet{depth}_imagenet": functools.partial(
            four_stage_resnet, depth=depth
        )
        for depth in (18, 34, 50, 101, 152)
    },
    "resnet18_preactivation": preactivation_resnet18,
    "mobilenet_v1": mobilenet_v1,
    **{
        f"wrn_{depth}_{widening}": functools.partial(
            wide_resnet, depth=depth, widening=widening
        )
        for depth, widening in ((40, 2), (40, 1), (16, 2))
    },
    "vgg8": functools.partial(vgg, depth=8),
    "vgg13": functools.partial(vgg, depth=13),
    **{
        f"plain_{depth}": functools.partial(plain_cnn, depth=depth)
        for depth in (2, 4, 6, 8, 10)
    },
    "vit_s_16": functools.partial(
        vit, patch_size=16, width=384, depth=12, heads=6, embedding_size=384
    ),
    "vit_b_16": functools.partial(
        vit, patch_size=16, width=768, depth=12, heads=12, embedding_size=512
    ),
    "vit_l_14": functools.partial(
        vit, patch_size=14, width=1024, depth=24, heads=16, embedding_size=768
    ),
    "clip_rn50": clip_resnet,
}

# The first two are ours, for captions of few words; the others the partners of
# the three vision transformers and of the residual network in CLIP.
TEXT_BUILDERS = {
    "text_32": functools.partial(
        text_transformer, width=32, depth=2, heads=2, embedding_size=32
    ),
    "text_64": functools.partial(
        text_transformer, width=64, depth=2, heads=2, embedding_size=64
    ),
    "text_s": functools.partial(
        text_transformer, width=384, heads=6, embedding_size=384
    ),
    "text_b": functools.partial(
        text_transformer, width=512, heads=8, embedding_size=512
    ),
    "text_l": functools.partial(
        text_transformer, width=768, heads=12, embedding_size=768
    ),
    "text_rn50": functools.partial(
        text_transformer, width=512, heads=8, embedding_size=1024
    ),
}


def knows(name: str) -> bool:
    """Returns whether `build` knows a network of this name.

    Args:
        name: string.
    """
    return name in BUILDERS or name in APPLICATIONS


def build(
    name: str, input_shape: tuple, num_classes: int, **options: Any
) -> keras.Model:
    """Builds a network of the papers, or of `keras.applications`, by name.

    Args:
        name: string, a key of `indistill_tf.models.BUILDERS`, or of
            `indistill_tf.models.APPLICATIONS`, such as `"ResNet50"`.
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        **options: further arguments of the network's builder.

    Returns:
        A functional `keras.Model` from images `[N, H, W, C]` to logits
        `[N, num_classes]`. The layers `tap_1`, `tap_2`, ..., `embedding` and
        `logits` of the papers' networks are their endpoints; for the others
        see `indistill_tf.endpoints`.

    Raises:
        UserError: if the name is unknown or the shapes make no network.

    Example:

    ```python
    student = indistill_tf.models.build("cnn_s", (32, 32, 3), 10)
    ```
    """
    if not knows(name):
        raise unknown_name("model", name, (*BUILDERS, *APPLICATIONS))
    if len(input_shape) != 3 or any(
        not isinstance(size, int) or size < 1 for size in input_shape
    ):
        raise UserError(
            "`input_shape` must be three positive integers (H, W, C). "
            f"Received: input_shape={input_shape}"
        )
    if num_classes < 2:
        raise UserError(
            "`num_classes` must be 2 or more. "
            f"Received: num_classes={num_classes}"
        )
    if name in APPLICATIONS:
        return application(tuple(input_shape), num_classes, name, **options)
    return BUILDERS[name](tuple(input_shape), num_classes, name=name, **options)


def build_text(name: str, **options: Any) -> keras.Model:
    """Builds a text tower by name.

    Args:
        name: string, a key of `indistill_tf.models.TEXT_BUILDERS`.
        **options: further arguments of `text_transformer`.

    Returns:
        A functional `keras.Model` from int32 token ids `[N, context_length]`
        to embeddings `[N, embedding_size]`; its endpoint is `embedding`.

    Raises:
        UserError: if the name is unknown.

    Example:

    ```python
    tower = indistill_tf.models.build_text("text_b", context_length=32)
    ```
    """
    if name not in TEXT_BUILDERS:
        raise unknown_name("text tower", name, TEXT_BUILDERS)
    return TEXT_BUILDERS[name](name=name, **options)


__all__ = [
    "APPLICATIONS",
    "BUILDERS",
    "TEXT_BUILDERS",
    "application",
    "build",
    "build_text",
    "cifar_resnet",
    "clip_resnet",
    "cnn",
    "four_stage_resnet",
    "from_state_dict",
    "knows",
    "load_model",
    "load_weights",
    "mobilenet_v1",
    "plain_cnn",
    "preactivation_resnet18",
    "save_weights",
    "text_transformer",
    "to_state_dict",
    "tower",
    "vgg",
    "vit",
    "wide_resnet",
]
