import keras
import numpy as np
import pytest

from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf.errors import UserError


@pytest.fixture(scope="module")
def model():
    return models.build("wrn_16_2", (32, 32, 3), 10)


def test_names(model):
    all_names = [layer.name for layer in model.layers]
    assert all_names[:3] == ["image", "conv1", "stage1_block1_bn1"]
    assert all_names[-5:] == [
        "bn_last",
        "relu_last",
        "embedding",
        "fc",
        "logits",
    ]
    block = [name for name in all_names if name.startswith("stage2_block1_")]
    assert sorted(block) == [
        f"stage2_block1_{name}"
        for name in (
            "add",
            "bn1",
            "bn2",
            "conv1",
            "conv1_pad",
            "conv2",
            "relu1",
            "relu2",
            "shortcut",
        )
    ]


def test_shortcuts_read_the_activated_input(model):
    for stage in (1, 2, 3):
        activated = model.get_layer(f"stage{stage}_block1_relu1").output
        shortcut = model.get_layer(f"stage{stage}_block1_shortcut")
        assert shortcut.input is activated
    # Equal widths: the sum takes the input as it came.
    second = model.get_layer("tap_1")
    assert second.input[1] is model.get_layer("stage1_block1_add").output


def test_width_1_has_no_shortcut_in_the_first_stage():
    names = [
        layer.name for layer in models.build("wrn_40_1", (32, 32, 3), 10).layers
    ]
    assert "stage1_block1_shortcut" not in names
    assert "stage2_block1_shortcut" in names
    assert sum(name.endswith("conv2") for name in names) == 18


def test_taps_are_sums_and_the_embedding_is_activated(model):
    view = endpoints.named_view(model, ("tap_3", "embedding"))
    images = keras.random.normal((2, 32, 32, 3), seed=0)
    maps = view(images)
    assert np.min(maps["tap_3"]) < 0
    assert np.min(maps["embedding"]) >= 0


def test_depth():
    with pytest.raises(UserError, match="must be 6 n .* 4.*Received: depth=18"):
        models.wide_resnet((32, 32, 3), 10, depth=18, widening=2)
    with pytest.raises(UserError, match="Received: depth=4"):
        models.wide_resnet((32, 32, 3), 10, depth=4, widening=2)
