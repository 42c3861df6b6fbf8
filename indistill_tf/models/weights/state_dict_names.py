"""How PyTorch code names the layers of our networks.

A family is a table of rules. A rule is a pattern of our layer's name and a
function from the pattern's groups, numbers as ints, to the PyTorch layer's
name, or to the `Parameter` that stands for the whole layer. The table is read
in one direction only, from our names to PyTorch's: reading a file looks the
expected names up in it.
"""

from indistill_tf.models.weights.state_dict_clip import CLIP
from indistill_tf.models.weights.state_dict_family import Family


def _has_cifar_stem(model):
    # The same layer names as torchvision's; the papers' code for pictures of
    # 32 x 32 derives from another code base.
    named = {layer.name: layer for layer in model.layers}
    if not {"conv1", "stage4_block1_conv1"} <= named.keys():
        return False
    return tuple(named["conv1"].kernel.shape[:2]) == (3, 3)


_RESIDUAL = (
    (r"(conv1|bn1)", lambda name: name),
    (
        r"stage(\d+)_block(\d+)_(conv\d|bn\d)",
        lambda stage, block, name: f"layer{stage}.{block - 1}.{name}",
    ),
)

_SHORTCUT = r"stage(\d+)_block(\d+)_shortcut"


FAMILIES = (
    # github.com/kuangliu/pytorch-cifar, the teachers of PKT-H-CR and InDistill
    Family(
        "kuangliu",
        (
            *_RESIDUAL,
            (_SHORTCUT, lambda s, b: f"layer{s}.{b - 1}.shortcut.0"),
            (f"{_SHORTCUT}_bn", lambda s, b: f"layer{s}.{b - 1}.shortcut.1"),
            (r"fc", lambda: "linear"),
        ),
        usual_for=_has_cifar_stem,
    ),
    # torchvision, and RepDistiller's networks for CIFAR
    Family(
        "torchvision",
        (
            *_RESIDUAL,
            (_SHORTCUT, lambda s, b: f"layer{s}.{b - 1}.downsample.0"),
            (f"{_SHORTCUT}_bn", lambda s, b: f"layer{s}.{b - 1}.downsample.1"),
            (r"fc", lambda: "fc"),
        ),
    ),
    # RepDistiller's wrn.py
    Family(
        "wide_resnet",
        (
            (r"conv1", lambda: "conv1"),
            (
                r"stage(\d+)_block(\d+)_(conv\d|bn\d)",
                lambda s, b, name: f"block{s}.layer.{b - 1}.{name}",
            ),
            (_SHORTCUT, lambda s, b: f"block{s}.layer.{b - 1}.convShortcut"),
            (r"bn_last", lambda: "bn1"),
            (r"fc", lambda: "fc"),
        ),
    ),
    # RepDistiller's vgg.py; a convolution, its normalisation and its ReLU
    # follow one another in a `Sequential`
    Family(
        "vgg",
        (
            (r"block(\d+)_conv(\d+)", lambda b, i: f"block{b - 1}.{3 * i - 3}"),
            (r"block(\d+)_bn(\d+)", lambda b, i: f"block{b - 1}.{3 * i - 2}"),
            (r"fc", lambda: "classifier"),
        ),
    ),
    # The MobileNetV1 of the distillation code bases
    Family(
        "mobilenet",
        (
            (r"conv1", lambda: "model.0.0"),
            (r"bn1", lambda: "model.0.1"),
            (r"block(\d+)_depthwise", lambda i: f"model.{i}.0"),
            (r"block(\d+)_depthwise_bn", lambda i: f"model.{i}.1"),
            (r"block(\d+)_pointwise", lambda i: f"model.{i}.3"),
            (r"block(\d+)_pointwise_bn", lambda i: f"model.{i}.4"),
            (r"fc", lambda: "fc"),
        ),
    ),
    # InDistill's cnn32.py and PKT-H-CR's cifar_tiny.py
    Family(
        "indistill",
        (
            (r"(conv\d|fc\d)", lambda name: name),
            (r"bn(\d)", lambda i: f"conv{i}_bn"),
        ),
    ),
    *CLIP,
    # Any other network: PyTorch's layers are called as ours.
    Family("layers", ((r"(.+)", str),)),
)


def families(model):
    """Returns the families whose rules have all layers of a model.

    Args:
        model: `keras.Model`.

    Returns:
        List of `Family` in the table's order; the last one has every model.
    """
    return [family for family in FAMILIES if family.covers(model)]
