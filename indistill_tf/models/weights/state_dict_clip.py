"""open_clip's names of its image and its text tower.

A file holds both, and is read into either: the other's names are known and
passed over. A name of neither is an error as in every file.
"""

from indistill_tf.models.weights.state_dict_family import Family
from indistill_tf.models.weights.state_dict_family import Parameter

# Where the text tower stands alone, its names begin with `text.`.
_TEXT = (
    r"(text|transformer|token_embedding|ln_final)\..*"
    "|positional_embedding|text_projection"
)

_BLOCK = r"stage(\d+)_block(\d+)"

# The temperature and bias of the loss, and the causal mask, which we compute.
_NEITHER = "logit_scale|logit_bias|attn_mask"


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


def _in_stage(name):
    return lambda stage, block, *n: (
        f"visual.layer{stage}.{block - 1}.{name.format(*n)}"
    )


CLIP = (
    # The classifier is ours: a file of open_clip's fits the part of the model
    # that ends at `embedding`.
    Family(
        "clip_image",
        (
            (r"conv1", lambda: "visual.conv1"),
            (r"class_token", lambda: Parameter("visual.class_embedding")),
            *_transformer("visual."),
            (r"projection", lambda: Parameter("visual.proj")),
            (r"fc", lambda: "visual.fc"),
        ),
        others=rf"{_TEXT}|{_NEITHER}",
        mark="class_token",
    ),
    Family(
        "clip_resnet",
        (
            (r"(conv\d|bn\d)", lambda name: f"visual.{name}"),
            (rf"{_BLOCK}_(conv\d|bn\d)", _in_stage("{}")),
            (rf"{_BLOCK}_shortcut", _in_stage("downsample.0")),
            (rf"{_BLOCK}_shortcut_bn", _in_stage("downsample.1")),
            (
                r"positions",
                lambda: Parameter("visual.attnpool.positional_embedding"),
            ),
            (
                r"(query|key|value)",
                lambda name: f"visual.attnpool.{name[0]}_proj",
            ),
            (r"projection", lambda: "visual.attnpool.c_proj"),
            (r"fc", lambda: "visual.fc"),
        ),
        others=rf"{_TEXT}|{_NEITHER}",
        mark="positions",
    ),
    Family(
        "clip_text",
        (
            (r"token_embedding", lambda: "token_embedding"),
            *_transformer(""),
            (r"projection", lambda: Parameter("text_projection")),
        ),
        others=rf"visual\..*|{_NEITHER}",
        mark="token_embedding",
    ),
)
