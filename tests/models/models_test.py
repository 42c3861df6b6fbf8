import ast
import pathlib

import keras
import numpy as np
import pytest

from indistill_tf import endpoints
from indistill_tf import evaluation
from indistill_tf import losses
from indistill_tf import models
from indistill_tf import taps
from indistill_tf.errors import UserError

# From the papers' tables and from the reference implementations.
PARAMETERS = [
    ("cnn_s", (32, 32, 3), 10, 15_050),
    ("cnn_a", (32, 32, 3), 10, 57_994),
    ("cnn_s", (32, 32, 1), 10, 14_906),
    ("cnn_a", (32, 32, 1), 10, 57_706),
    ("cnn_s", (48, 48, 3), 30, 28_318),
    ("cnn_a", (48, 48, 3), 30, 104_990),
    ("cnn_s_2", (32, 32, 1), 10, 3_706),
    ("resnet8", (32, 32, 3), 100, 83_892),
    ("resnet14", (32, 32, 3), 100, 181_108),
    ("resnet20", (32, 32, 3), 100, 278_324),
    ("resnet32", (32, 32, 3), 100, 472_756),
    ("resnet44", (32, 32, 3), 10, 661_338),
    ("resnet56", (32, 32, 3), 10, 855_770),
    ("resnet110", (32, 32, 3), 100, 1_736_564),
    ("resnet8x4", (32, 32, 3), 100, 1_233_540),
    ("resnet32x4", (32, 32, 3), 100, 7_433_860),
    ("resnet18", (32, 32, 3), 10, 11_173_962),
    ("resnet18_preactivation", (32, 32, 3), 10, 11_171_274),
    ("resnet18_imagenet", (64, 64, 3), 10, 11_181_642),
    ("resnet18_imagenet", (64, 64, 1), 10, 11_175_370),
    ("resnet18_imagenet", (64, 64, 3), 30, 11_191_902),
    ("resnet18_imagenet", (224, 224, 3), 1000, 11_689_512),
]


@pytest.mark.parametrize("name, shape, classes, expected", PARAMETERS)
def test_parameters(name, shape, classes, expected):
    model = models.build(name, shape, classes)
    assert evaluation.parameters(model) == expected


@pytest.mark.parametrize("name", models.BUILDERS)
def test_endpoints_and_output(name):
    model = models.build(name, (32, 32, 3), 7)
    names = [layer.name for layer in model.layers]
    assert "tap_1" in names
    assert endpoints.endpoint(model, "embedding").shape[0] is None
    assert len(endpoints.endpoint(model, "embedding").shape) == 2
    assert model(np.zeros((2, 32, 32, 3), "float32")).shape == (2, 7)


@pytest.mark.parametrize(
    "name, shapes",
    [
        ("cnn_a", [(15, 15, 16), (6, 6, 32), (2, 2, 64)]),
        ("resnet32x4", [(32, 32, 64), (16, 16, 128), (8, 8, 256)]),
        (
            "resnet18_imagenet",
            [(8, 8, 64), (4, 4, 128), (2, 2, 256), (1, 1, 512)],
        ),
    ],
)
def test_feature_maps(name, shapes):
    model = models.build(name, (32, 32, 3), 10)
    maps = endpoints.feature_maps(model)
    assert [tensor.shape[1:] for tensor in maps.values()] == shapes


@pytest.mark.parametrize("depth, taps_expected", [(2, 2), (5, 5), (7, 7)])
def test_depth_variants_pair_with_each_other(depth, taps_expected):
    teacher, student = (
        models.build(f"cnn_{size}_{depth}", (32, 32, 3), 10) for size in "as"
    )
    assert len(taps.pair(teacher, student)) == taps_expected


def test_strided_convolutions_are_centred():
    # On a 4 x 4 image a 3 x 3 convolution of stride 2 is centred on the
    # pixels (0, 0), (0, 2), (2, 0), (2, 2); Keras' "same" would shift it.
    model = models.build("resnet8", (4, 4, 1), 10)
    conv = model.get_layer("stage2_block1_conv1")
    pad = model.get_layer("stage2_block1_conv1_pad")
    kernel = np.zeros(conv.kernel.shape, "float32")
    kernel[1, 1, 0, 0] = 1
    conv.kernel.assign(kernel)
    image = np.zeros((1, 4, 4, 16), "float32")
    image[0, :, :, 0] = np.arange(16).reshape(4, 4)
    found = conv(pad(image))[0, :, :, 0]
    np.testing.assert_array_equal(found, [[0, 2], [8, 10]])


def test_batch_norm_constants():
    norm = models.build("cnn_s", (32, 32, 3), 10).get_layer("bn1")
    assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


def test_errors():
    with pytest.raises(UserError, match="Unknown model: 'cnn'.*cnn_s, cnn_s_2"):
        models.build("cnn", (32, 32, 3), 10)
    with pytest.raises(UserError, match="three positive integers"):
        models.build("cnn_s", (32, 32), 10)
    with pytest.raises(UserError, match="too small for this network"):
        models.build("cnn_s", (8, 8, 3), 10)
    with pytest.raises(UserError, match="2 or more. Received: 1"):
        models.build("cnn_s", (32, 32, 3), 1)


@pytest.mark.parametrize("package", [losses, models])
def test_networks_and_losses_do_not_import_tensorflow(package):
    for file in pathlib.Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [name.name for name in getattr(node, "names", [])]
            names.append(getattr(node, "module", None) or "")
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not [n for n in names if n.startswith("tensorflow")]


@pytest.mark.parametrize(
    "name", ["cnn_s", "resnet8", "resnet18", "resnet18_preactivation"]
)
def test_batch_statistics_over_all_replicas(name):
    model = models.build(name, (32, 32, 3), 10, synchronized=True)
    found = [
        layer.synchronized
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert found and all(found)
