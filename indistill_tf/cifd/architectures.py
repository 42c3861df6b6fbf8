"""The shapes of rate-distortion modules that the paper gives, by name."""

import dataclasses

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Widths of a rate-distortion module, and what it is trained to do.

    A width is an int, or a float: that multiple of the teacher's embedding.

    The layers are: dense of `hidden` with ReLU, dense of `code` without an
    activation, so that codes have both signs; the noise; dense of `decoder`
    with ReLU, which is the reconstruction where it has the embedding's width.
    Where it has not, and there is a reconstruction, a dense layer without
    activation to that width follows.

    Attributes:
        hidden: width of the encoder's first layer.
        code: width of the bottleneck.
        decoder: width of the decoder's layer.
        reconstruction: bool, whether the distortion is part of the loss.
        classifier: bool, whether a classifier of the module's own follows.
        distortion: `"mse"` for the squared error, or `"smooth_l1"`.
    """

    hidden: int | float = 1.0
    code: int | float = 1.0
    decoder: int | float = 1.0
    reconstruction: bool = True
    classifier: bool = True
    distortion: str = "mse"

    def widths(self, embedding_width: int) -> tuple[int, int, int]:
        """Returns the widths of hidden layer, code and decoder as ints.

        Args:
            embedding_width: int, the teacher's.

        Raises:
            UserError: if one is below 1.

        Example:

        >>> ARCHITECTURES["clip"].widths(512)
        (1536, 512, 1536)
        """
        sizes = tuple(
            round(width * embedding_width)
            if isinstance(width, float)
            else width
            for width in (self.hidden, self.code, self.decoder)
        )
        if min(sizes) < 1:
            raise UserError(
                "`hidden`, `code` and `decoder` of a rate-distortion module "
                f"must come to widths of at least 1. Received: {self} for "
                f"embeddings of width {embedding_width}."
            )
        return sizes


# Of what the paper leaves open, ours are: ReLU throughout; in "cifar_pair" all
# widths (the teacher's own); in "imagenet_resnet50" the linear layer from 1024
# to the teacher's 2048; in "clip" all widths and the linear layer at the end.
# There a code three times as wide took longer and learned less.
ARCHITECTURES = {
    "cifar_plain": Architecture(512, 306, 100, reconstruction=False),
    "cifar_pair": Architecture(),
    "imagenet_resnet34": Architecture(512, 512, 512, distortion="smooth_l1"),
    "imagenet_resnet50": Architecture(1024, 1024, 1024, distortion="smooth_l1"),
    "clip": Architecture(3.0, 1.0, 3.0, classifier=False),
}


def architecture(name):
    """Returns an architecture by name; one that is given passes through.

    | name | widths | loss |
    |---|---|---|
    | `cifar_plain` | 512, 306, code, 100 | classification only |
    | `cifar_pair` | the teacher's in all layers (ours) | all, squared |
    | `imagenet_resnet34` | 512, 512, code, 512 | all, smooth L1 |
    | `imagenet_resnet50` | 1024, 1024, code, 1024, 2048 (ours) | the same |
    | `clip` | 3, 1 and 3 x the teacher's (ours) | reconstruction only |

    That ReLU is the activation is ours throughout; the paper says where
    activations are, not which. With ResNet-34 the count of 1.31 million
    multiplications that the paper gives leaves no room for a further layer
    behind the decoder's.

    Args:
        name: one of `ARCHITECTURES`, or an `Architecture`.

    Raises:
        UserError: if there is no such architecture.

    References:
        - CIFD, NeurIPS 2024, appendix, architectures of the modules
    """
    if isinstance(name, Architecture):
        return name
    if name not in ARCHITECTURES:
        raise unknown_name("architecture of modules", name, ARCHITECTURES)
    return ARCHITECTURES[name]
