"""How PyTorch code names the layers of our networks.

A family is a table of rules. A rule is a pattern of our layer's name and a
function from the pattern's groups, numbers as ints, to the PyTorch module's
name, or to the `Parameter` that stands for the whole layer. The table is read
in one direction only, from our names to theirs: reading a file looks the
expected names up in it.
"""

import collections.abc
import dataclasses
import re


class Parameter(str):
    """The name of a tensor that PyTorch keeps in no layer of its own.

    It is the layer's only variable as it is: open_clip multiplies by `proj`,
    where a dense layer would hold the transposed matrix.
    """


@dataclasses.dataclass(frozen=True)
class Family:
    """The names of one PyTorch code base.

    Args:
        name: string, by which `to_state_dict` is asked for it.
        rules: tuple of pairs `(pattern, function)`; the first pattern that
            matches the whole name of a layer counts.
        usual_for: function from a `keras.Model` to a bool, whether the model
            is saved in these names unless others are asked for. Defaults to
            always.
        others: string, the pattern of names that belong to another network in
            the same file, and are ignored. Defaults to none.
    """

    name: str
    rules: tuple
    usual_for: collections.abc.Callable = lambda model: True
    others: str = "$^"

    def module(self, layer_name):
        """Returns the PyTorch name of a layer, or None if no rule has it.

        A `Parameter` stands for a layer with one variable.

        Args:
            layer_name: string, such as `stage1_block2_conv1`.
        """
        for pattern, rule in self.rules:
            if match := re.fullmatch(pattern, layer_name):
                groups = match.groups()
                return rule(*(int(g) if g.isdigit() else g for g in groups))
        return None

    def covers(self, model):
        """Returns whether the rules have every layer with weights.

        Args:
            model: `keras.Model`.
        """
        return all(
            self.module(layer.name) is not None
            for layer in model.layers
            if layer.weights
        )


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


def _transformer(prefix):
    def in_block(name):
        return lambda i, *n: ".".join(
            [f"{prefix}transformer.resblocks.{i - 1}", name.format(*n)]
        )

    return (
        (r"block(\d+)_ln_(\d)", in_block("ln_{}")),
        (r"block(\d+)_attention", in_block("attn")),
        (r"block(\d+)_mlp_1", in_block("mlp.c_fc")),
        (r"block(\d+)_mlp_2", in_block("mlp.c_proj")),
        (r"(ln_\w+)", lambda name: f"{prefix}{name}"),
        (r"positions", lambda: Parameter(f"{prefix}positional_embedding")),
    )


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
    # open_clip's towers. A file of both is read into either. The classifier is
    # ours: a file of open_clip's fits the part that ends at `embedding`.
    Family(
        "clip_image",
        (
            (r"conv1", lambda: "visual.conv1"),
            (r"class_token", lambda: Parameter("visual.class_embedding")),
            *_transformer("visual."),
            (r"projection", lambda: Parameter("visual.proj")),
            (r"fc", lambda: "visual.fc"),
        ),
        others=r"(?!visual\.).*",
    ),
    Family(
        "clip_text",
        (
            (r"token_embedding", lambda: "token_embedding"),
            *_transformer(""),
            (r"projection", lambda: Parameter("text_projection")),
        ),
        others=r"visual\..*|logit_scale|logit_bias|attn_mask",
    ),
    # Any other network: modules named as our layers.
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
