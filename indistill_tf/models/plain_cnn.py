"""The plain convolutional networks of TAKD, DGKD and CIFD."""

import keras
from keras import layers

from indistill_tf.errors import UserError
from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import check_window
from indistill_tf.models.blocks import conv
from indistill_tf.models.blocks import head

# depth -> (widths of the convolutions up to each pooling, is the last map
# pooled, width of the hidden dense layer).
_LAYOUTS = {
    2: (((32,), (32,)), True, None),
    4: (((32, 32), (64, 64)), True, None),
    6: (((32, 32), (64, 64), (128, 128)), False, None),
    8: (((32, 32), (64, 64), (128, 128), (256, 256)), True, 64),
    10: (((32, 32), (64, 64), (128, 128), (256,) * 4), True, 512),
}


def plain_cnn(
    input_shape: tuple,
    num_classes: int,
    depth: int,
    batch_norm: bool = False,
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a plain CNN of 2, 4, 6, 8 or 10 convolutions for CIFAR-100.

    The papers give each network as a row of layers, read here like this:
    every convolution is 3 x 3, padded to keep its map's size, with bias and
    ReLU; every pooling is a maximum over 2 x 2; the map is flattened, not
    averaged; a dense layer before the classifier has a ReLU; nothing is
    dropped out. TAKD normalises after each convolution, CIFD's table does not.

    | depth | layers (C convolution, P pooling, D dense) |
    |---|---|
    | 2 | C32 P C32 P D |
    | 4 | C32 C32 P C64 C64 P D |
    | 6 | C32 C32 P C64 C64 P C128 C128 D |
    | 8 | C32 C32 P C64 C64 P C128 C128 P C256 C256 P D64 D |
    | 10 | as 8 with C256 four times and D512 for D64 |

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        depth: int, the number of convolutions: 2, 4, 6, 8 or 10.
        batch_norm: bool, whether the convolutions are normalised, as in TAKD.
            Defaults to False, as in CIFD.
        synchronized: bool, whether replicas share batch statistics, if there
            are any. Defaults to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` with endpoints `tap_1`, `tap_2`, ... (the
        pooled maps, and in depth 6 the last ReLU, which is not pooled),
        `embedding` (what the classifier reads: the flattened map, or the
        activated dense layer) and `logits`. With 100 classes and 32 x 32
        pixels the five have 215,044, 475,268, 1,106,308, 1,244,356 and
        2,928,516 trainable parameters.

    Raises:
        UserError: if there is no such depth or the image is too small for the
            poolings.

    References:
        - [Mirzadeh et al., 2019](https://arxiv.org/abs/1902.03393)
    """
    if depth not in _LAYOUTS:
        raise UserError(
            f"`depth` must be one of {list(_LAYOUTS)}. Received: depth={depth}"
        )
    stages, last_is_pooled, hidden = _LAYOUTS[depth]
    inputs = x = keras.Input(input_shape, name="image")
    first = 1
    for stage, widths in enumerate(stages, start=1):
        pooled = last_is_pooled or stage < len(stages)
        end = None if pooled else f"tap_{stage}"
        x = _convolutions(x, widths, first, batch_norm, synchronized, end)
        first += len(widths)
        if pooled:
            check_window(x, 2, input_shape)
            x = layers.MaxPooling2D(2, name=f"tap_{stage}")(x)
    return _classifier(inputs, x, hidden, num_classes, name)


def _convolutions(x, widths, first, normalized, synchronized, end):
    for index, width in enumerate(widths, start=first):
        x = conv(width, 3, 1, f"conv{index}", use_bias=True)(x)
        if normalized:
            x = batch_norm(f"bn{index}", synchronized)(x)
        last = index == first + len(widths) - 1
        x = layers.ReLU(name=end if end and last else f"relu{index}")(x)
    return x


def _classifier(inputs, x, hidden, num_classes, name):
    if hidden is None:
        x = layers.Flatten(name="embedding")(x)
        return keras.Model(inputs, head(x, num_classes, "fc"), name=name)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(hidden, kernel_initializer="he_normal", name="fc1")(x)
    x = layers.ReLU(name="embedding")(x)
    return keras.Model(inputs, head(x, num_classes, "fc2"), name=name)
