import keras
import numpy as np
import pytest

from indistill_tf import endpoints
from indistill_tf import evaluation
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.models.clip_resnet import Attend
from indistill_tf.models.clip_resnet import MeanToken


def network():
    return models.clip_resnet((64, 64, 3), 5, (1, 2, 1, 1), 4, 3)


def tower():
    """The part that open_clip has: no classifier."""
    return endpoints.named_view(
        network(), ("embedding", "tap_1", "tap_2", "tap_3", "tap_4")
    )


def filled(shapes):
    """A file's weights: waves, around one where a scale or variance is due."""
    arrays = {}
    for index, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        wave = np.sin(1.3 * np.arange(np.prod(shape)) + index)
        scale = name.endswith("weight") and len(shape) == 1
        start = 1 if scale or name.endswith("running_var") else 0
        arrays[name] = start + 0.2 * wave.reshape(shape)
    return arrays


def test_values_are_open_clip_s():
    # From open_clip 3.2.0 on PyTorch (float32): ModifiedResNet([1, 2, 1, 1],
    # output_dim=3, heads=2, image_size=64, width=4), filled alike.
    model = tower()
    shapes = {k: v.shape for k, v in models.to_state_dict(model).items()}
    weights = {**filled(shapes), "logit_scale": np.float32(1)}
    models.from_state_dict(model, weights)
    images = np.cos(np.arange(64 * 64 * 3)).reshape(1, 64, 64, 3)
    outputs = model(images.astype("float32"))
    np.testing.assert_allclose(
        outputs["embedding"], [[2.5215354, -2.3480892, 2.6354935]], rtol=2e-5
    )
    last = {
        "tap_1": [0.10961404, 0.24058422, 0.02938607],
        "tap_2": [0.39812258, 0, 0],
        "tap_3": [0, 0, 1.05026],
        "tap_4": [0, 0, 1.1884389],
    }
    for name, expected in last.items():
        values = outputs[name][0, 1, -1, :3]
        np.testing.assert_allclose(values, expected, rtol=2e-5, atol=1e-6)


def test_names_are_open_clip_s():
    names = models.to_state_dict(tower())
    assert len(names) == 119
    assert names["visual.attnpool.positional_embedding"].shape == (5, 128)
    assert names["visual.attnpool.k_proj.weight"].shape == (128, 128)
    assert names["visual.attnpool.c_proj.weight"].shape == (3, 128)
    assert names["visual.layer2.0.downsample.1.running_var"].shape == (32,)
    assert names["visual.layer2.1.conv3.weight"].shape == (32, 8, 1, 1)
    assert names["visual.bn3.bias"].shape == (4,)


def test_a_file_holds_what_the_model_has(tmp_path):
    model = network()
    expected = model(np.ones((2, 64, 64, 3), "float32"))
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    copied = copy(np.ones((2, 64, 64, 3), "float32"))
    np.testing.assert_array_equal(copied, expected)


@pytest.mark.parametrize(
    "name, expected",
    # Of CLIP's 102,007,137, which are both towers and a temperature.
    [("clip_rn50", 38_316_896), ("text_rn50", 63_690_240)],
)
def test_parameters(name, expected):
    with keras.StatelessScope(initialize_variables=False):
        if name in models.TEXT_BUILDERS:
            model, classifier = models.build_text(name), 0
        else:
            model = models.build(name, (224, 224, 3), 10)
            classifier = 10 * 1024 + 10
    assert evaluation.parameters(model) - classifier == expected


def test_blocks_start_as_their_shortcuts():
    model = network()
    gamma = model.get_layer("stage2_block2_bn3").gamma
    np.testing.assert_array_equal(gamma, np.zeros(32))
    kernel = model.get_layer("query").kernel
    np.testing.assert_allclose(np.std(kernel), 128**-0.5, rtol=0.05)


def test_mean_token():
    x = np.array([[[1.0, 2.0], [3.0, 6.0]]])
    layer = MeanToken()
    attended = layer(x)
    np.testing.assert_array_equal(attended, [[[2, 4], [1, 2], [3, 6]]])
    assert layer.compute_output_shape((1, 2, 2)) == attended.shape


def test_attention_by_hand():
    # Two heads of one channel. The first is asked 0, so it takes the mean of
    # 2 and 4; the second's products are 0 and ln 3, so its weights 1/4, 3/4.
    query = np.array([[[0.0, 1.0]]])
    key = np.array([[[5.0, 0.0], [7.0, np.log(3)]]])
    value = np.array([[[2.0, 8.0], [4.0, 16.0]]])
    layer = Attend.from_config(Attend(2).get_config())
    np.testing.assert_allclose(layer(query, key, value), [[[3, 14]]], rtol=1e-6)


def test_small_images_are_refused():
    with pytest.raises(UserError, match="window of 32"):
        models.build("clip_rn50", (31, 64, 3), 10)
