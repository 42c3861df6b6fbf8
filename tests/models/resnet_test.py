import pytest
from keras import layers

from indistill_tf import models
from indistill_tf.errors import UserError


@pytest.fixture(scope="module")
def resnet50():
    return models.build("resnet50_imagenet", (64, 64, 3), 10)


def test_bottlenecks_have_their_stride_on_the_middle_convolution(resnet50):
    strides = [
        resnet50.get_layer(f"stage2_block1_{name}").strides
        for name in ("conv1", "conv2", "conv3", "shortcut")
    ]
    assert strides == [(1, 1), (2, 2), (1, 1), (2, 2)]
    kernels = [
        resnet50.get_layer(f"stage2_block1_{name}").kernel.shape
        for name in ("conv1", "conv2", "conv3", "shortcut")
    ]
    assert kernels == [
        (1, 1, 256, 128),
        (3, 3, 128, 128),
        (1, 1, 128, 512),
        (1, 1, 256, 512),
    ]


def test_shortcuts_are_convolved_where_width_or_stride_changes(resnet50):
    resnet34 = models.build("resnet34", (32, 32, 3), 10)
    for model, expected in ((resnet34, "234"), (resnet50, "1234")):
        shortcuts = [
            layer.name
            for layer in model.layers
            if layer.name.endswith("shortcut")
        ]
        assert shortcuts == [
            f"stage{stage}_block1_shortcut" for stage in expected
        ]


def test_names_in_a_bottleneck(resnet50):
    block = [
        layer.name
        for layer in resnet50.layers
        if layer.name.startswith("stage3_block2_")
    ]
    names = "conv1 bn1 relu1 conv2 bn2 relu2 conv3 bn3 add relu3".split()
    assert block == [f"stage3_block2_{name}" for name in names]
    assert resnet50.get_layer("tap_3").input is (
        resnet50.get_layer("stage3_block6_add").output
    )


def test_no_convolution_has_a_bias(resnet50):
    convolutions = [x for x in resnet50.layers if isinstance(x, layers.Conv2D)]
    assert len(convolutions) == 53
    assert not any(layer.use_bias for layer in convolutions)


def test_errors():
    with pytest.raises(UserError, match=r"\[18, 34, 50, 101, 152\].*depth=20"):
        models.four_stage_resnet((32, 32, 3), 10, depth=20)
    with pytest.raises(UserError, match="Unknown stem: 'small'"):
        models.four_stage_resnet((32, 32, 3), 10, depth=18, stem="small")
