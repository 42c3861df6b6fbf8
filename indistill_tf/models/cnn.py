"""The plain convolutional networks of PKT-H-CR and InDistill.

CNN-S is the student and CNN-A, twice as wide, the auxiliary teacher
(InDistill, Table 1). Each convolution is followed by batch normalisation,
ReLU and max-pooling; the pooled map is a tap.
"""

from collections.abc import Sequence

import keras
from keras import layers

from indistill_tf.models.blocks import batch_norm
from indistill_tf.models.blocks import check_window
from indistill_tf.models.blocks import head

# InDistill uses larger kernels for CUB-200's larger pictures (Table 1).
_LARGE_IMAGE = 48

# depth -> (width multiple, is the map pooled). The papers give the widths for
# depth 3 alone; depth 2 follows from the smallest parameter count they print
# (3,706), depths 5 and 7 are ours: a width is repeated before it doubles.
_STAGES = {
    2: ((1, True), (2, True)),
    3: ((1, True), (2, True), (4, True)),
    5: ((1, True), (2, False), (2, True), (4, False), (4, True)),
    7: (
        (1, False),
        (1, True),
        (2, False),
        (2, True),
        (4, False),
        (4, False),
        (4, True),
    ),
}


def cnn(
    input_shape: tuple,
    num_classes: int,
    width: int,
    depth: int = 3,
    kernel_sizes: Sequence[int] | None = None,
    synchronized: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a plain CNN with taps `tap_1` ... `tap_<depth>`.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images.
        num_classes: int, the number of logits.
        width: int, filters of the first convolution: 8 is CNN-S, 16 CNN-A.
        depth: int, number of convolutions: 2, 3, 5 or 7. Defaults to 3.
        kernel_sizes: sequence of ints, from the first convolution on; the
            last one is repeated. Defaults to `(3,)` for images below 48
            pixels and to `(9, 5)` from there on, as in the paper.
        synchronized: bool, whether replicas share batch statistics. Defaults
            to False.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from images to logits `[N, num_classes]`
        with endpoints `tap_<i>`, `embedding` and `logits`. With CIFAR-10,
        CNN-S has 15,050 trainable parameters and CNN-A 57,994.

    Raises:
        UserError: if the image is too small for the network.

    References:
        - [Sarridis et al., 2022](https://arxiv.org/abs/2205.10003), Table 1
    """
    if kernel_sizes is None:
        kernel_sizes = (3,) if min(input_shape[:2]) < _LARGE_IMAGE else (9, 5)
    stages = _STAGES[depth]
    inputs = x = keras.Input(input_shape, name="image")
    for index, (multiple, pooled) in enumerate(stages):
        kernel_size = kernel_sizes[min(index, len(kernel_sizes) - 1)]
        check_window(x, kernel_size if pooled else 1, input_shape)
        stage = index + 1
        x = layers.Conv2D(
            width * multiple,
            kernel_size,
            padding="valid" if pooled else "same",
            name=f"conv{stage}",
        )(x)
        x = batch_norm(f"bn{stage}", synchronized)(x)
        x = layers.ReLU(name=f"tap_{stage}" if not pooled else f"relu{stage}")(
            x
        )
        if pooled:
            # Depth 2 pools its last map to 2 x 2, as the deeper ones end.
            last = depth == 2 and stage == 2
            pool = max(min(x.shape[1:3]) // 2, 1) if last else 2
            check_window(x, pool, input_shape)
            x = layers.MaxPooling2D(pool, name=f"tap_{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(2 * width * stages[-1][0], name="fc1")(x)
    x = layers.ReLU(name="embedding")(x)
    return keras.Model(inputs, head(x, num_classes, "fc2"), name=name)
