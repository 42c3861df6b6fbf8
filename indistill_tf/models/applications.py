"""Networks of `keras.applications`, made to read normalised images."""

from collections.abc import Sequence

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.hints import Path

# Network -> module of keras.applications, which knows the range of its pixels.
APPLICATIONS = {
    **{f"ResNet{depth}": "resnet" for depth in (50, 101, 152)},
    **{f"ResNet{depth}V2": "resnet_v2" for depth in (50, 101, 152)},
    **{f"VGG{depth}": f"vgg{depth}" for depth in (16, 19)},
    **{f"DenseNet{depth}": "densenet" for depth in (121, 169, 201)},
    **{f"EfficientNetB{size}": "efficientnet" for size in range(8)},
    **{f"EfficientNetV2{s}": "efficientnet_v2" for s in "SML"},
    **{f"EfficientNetV2B{size}": "efficientnet_v2" for size in range(4)},
    **{
        f"ConvNeXt{size}": "convnext"
        for size in ("Tiny", "Small", "Base", "Large", "XLarge")
    },
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Large": "mobilenet_v3",
    "MobileNetV3Small": "mobilenet_v3",
    "InceptionV3": "inception_v3",
    "InceptionResNetV2": "inception_resnet_v2",
    "Xception": "xception",
    "NASNetLarge": "nasnet",
    "NASNetMobile": "nasnet",
}

# Image sets are normalised by their own mean and deviation; ImageNet's are
# assumed where none are given.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def application(
    input_shape: tuple,
    num_classes: int,
    network: str,
    mean: Sequence[float] = _MEAN,
    std: Sequence[float] = _STD,
    weights: Path | None = None,
) -> keras.Model:
    """Builds a network of `keras.applications` without its softmax.

    A first layer brings the normalised images back to the pixels that the
    network was made for, so that weights trained elsewhere are right.

    Args:
        input_shape: tuple `(H, W, C)` of normalised images, of one channel or
            three.
        num_classes: int, the number of logits.
        network: string, a key of `APPLICATIONS`, such as `"ResNet50"`.
        mean: C floats, by which the images are normalised, of pixels scaled
            to 0..1. Defaults to ImageNet's.
        std: C floats, likewise.
        weights: None for new ones, `"imagenet"` for those that Keras has or
            downloads, or a file of them. Defaults to None.

    Returns:
        A functional `keras.Model` from images to logits `[N, num_classes]`.

    Raises:
        UserError: if the shape makes no network, or the weights are not to be
            had or do not fit.
    """
    inputs = keras.Input(input_shape, name="image")
    pixels = NetworkPixels(
        APPLICATIONS[network], mean[: input_shape[-1]], std[: input_shape[-1]]
    )
    try:
        model = getattr(keras.applications, network)(
            weights=weights,
            input_tensor=pixels(inputs),
            classes=num_classes,
            classifier_activation=None,
        )
    # A download fails with whatever the network's end says.
    except Exception as error:
        raise UserError(
            f"keras.applications.{network} cannot be built for images "
            f"{input_shape}, {num_classes} classes and weights={weights!r}: "
            f"{first_line(error)}"
        ) from error
    return keras.Model(inputs, model.output, name=network)


@keras.saving.register_keras_serializable(package="indistill_tf")
class NetworkPixels(layers.Layer):
    """Brings normalised images to what a `keras.applications` network reads.

    Args:
        module: string, the module whose `preprocess_input` says what is read.
        mean: C floats, by which the images are normalised, of pixels scaled
            to 0..1.
        std: C floats, likewise.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        images: `[N, H, W, C]`; grey images (C = 1) become three equal
            channels.
    """

    def __init__(self, module, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.module = module
        self.mean = tuple(mean)
        self.std = tuple(std)

    def call(self, images):
        scale = [255 * std for std in self.std]
        offset = [255 * mean for mean in self.mean]
        pixels = images * ops.cast(scale, images.dtype)
        pixels = pixels + ops.cast(offset, images.dtype)
        if images.shape[-1] == 1:
            pixels = ops.repeat(pixels, 3, axis=-1)
        module = getattr(keras.applications, self.module)
        return module.preprocess_input(pixels, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)

    def get_config(self):
        return {
            **super().get_config(),
            "module": self.module,
            "mean": self.mean,
            "std": self.std,
        }
