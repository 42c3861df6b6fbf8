import ast
import pathlib
import re

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
    # ResNet-50 and 17 more blocks 1024-256-256-1024 of 1,117,184:
    # 2 * 1024 * 256 + 9 * 256 ** 2 + 2 * (256 + 256 + 1024).
    ("resnet101_imagenet", (224, 224, 3), 1000, 44_549_160),
    # ResNet-50, 30 of these and 4 blocks 512-128-128-512 of 280,064.
    ("resnet152_imagenet", (224, 224, 3), 1000, 60_192_808),
    # Stem, stages, normalisations, classifier. A stage of n blocks from a to c
    # channels: 9 a c + (2 n - 1) 9 c c, and a c for the shortcut if a != c; its
    # normalisations: 2 a + (2 n - 1) 2 c.
    # 432 + 106,496 + 425,984 + 1,703,936; 736 + 1,472 + 2,944 + 256; 12,900.
    ("wrn_40_2", (32, 32, 3), 100, 2_255_156),
    # 432 + 27,648 + 106,496 + 425,984; 384 + 736 + 1,472 + 128; 6,500.
    ("wrn_40_1", (32, 32, 3), 100, 569_780),
    # 432 + 32,768 + 131,072 + 524,288; 224 + 448 + 896 + 256; 12,900.
    ("wrn_16_2", (32, 32, 3), 100, 703_284),
    # Convolutions of (9 a + 1) c: 1,792 + 73,856 + 295,168 + 1,180,160 +
    # 2,359,808; normalisations 2 * 1,472; classifier 51,300.
    ("vgg8", (32, 32, 3), 100, 3_965_028),
    # VGG-8 and, in its five blocks, 36,928 + 147,584 + 590,080 + 2 *
    # 2,359,808 and normalisations of 2 * 1,472.
    ("vgg13", (32, 32, 3), 100, 9_462_180),
    # Convolutions: 896 + 9,248; then 8 * 8 * 32 = 2,048 inputs of 100 classes.
    ("plain_2", (32, 32, 3), 100, 215_044),
    # 896 + 9,248 + 18,496 + 36,928 = 65,568; 8 * 8 * 64 inputs.
    ("plain_4", (32, 32, 3), 100, 475_268),
    # 65,568 + 73,856 + 147,584 = 287,008; 8 * 8 * 128 inputs.
    ("plain_6", (32, 32, 3), 100, 1_106_308),
    # 287,008 + 295,168 + 590,080; 1,025 * 64 + 65 * 100.
    ("plain_8", (32, 32, 3), 100, 1_244_356),
    # 287,008 + 295,168 + 3 * 590,080; 1,025 * 512 + 513 * 100.
    ("plain_10", (32, 32, 3), 100, 2_928_516),
]
# Of one network with several numbers of classes.
BY_CLASSES = {
    "resnet18": {10: 11_173_962, 30: 11_184_222, 100: 11_220_132},
    "resnet34": {10: 21_282_122, 30: 21_292_382, 100: 21_328_292},
    "resnet50": {10: 23_520_842, 30: 23_561_822, 100: 23_705_252},
    "resnet18_preactivation": {
        10: 11_171_274,
        30: 11_181_534,
        100: 11_217_444,
    },
    "resnet18_imagenet": {10: 11_181_642, 100: 11_227_812, 1000: 11_689_512},
    "resnet34_imagenet": {10: 21_289_802, 100: 21_335_972, 1000: 21_797_672},
    "resnet50_imagenet": {10: 23_528_522, 100: 23_712_932, 1000: 25_557_032},
    "mobilenet_v1": {100: 3_309_476, 1000: 4_231_976},
}
# Published billions of multiplications at 224 x 224. ResNet-50 with its stride
# on the first convolution would have 3.8.
IMAGENET = [
    ("resnet18_imagenet", 1.81),
    ("resnet34_imagenet", 3.66),
    ("resnet50_imagenet", 4.09),
    ("resnet101_imagenet", 7.80),
    ("resnet152_imagenet", 11.51),
    ("mobilenet_v1", 0.569),
]


def without_values(name, shape, classes, **options):
    """Builds a network whose variables are not filled, which takes longest."""
    with keras.StatelessScope(initialize_variables=False):
        return models.build(name, shape, classes, **options)


@pytest.mark.parametrize("name, shape, classes, expected", PARAMETERS)
def test_parameters(name, shape, classes, expected):
    model = without_values(name, shape, classes)
    assert evaluation.parameters(model) == expected


@pytest.mark.parametrize("name, expected", BY_CLASSES.items())
def test_parameters_by_classes(name, expected):
    # The classifier alone depends on the classes, so one model tells all.
    model = without_values(name, (32, 32, 3), 2)
    per_class = endpoints.endpoint(model, "embedding").shape[-1] + 1
    body = evaluation.parameters(model) - 2 * per_class
    parameters = {classes: body + classes * per_class for classes in expected}
    assert parameters == expected


# Networks that read no 32 x 32 pixels, or are too large to build in passing.
SMALLER = {
    "vit_b_16": (32, {"depth": 4}),
    "vit_l_14": (28, {"depth": 4}),
}


def depth(name):
    return int((re.findall(r"\d+", name) or [0])[0])


@pytest.mark.parametrize(
    "name",
    [
        # The deepest networks repeat the blocks of the others.
        pytest.param(name, marks=pytest.mark.slow) if depth(name) > 30 else name
        for name in models.BUILDERS
    ],
)
def test_endpoints_and_output(name):
    size, options = SMALLER.get(name, (32, {}))
    model = models.build(name, (size, size, 3), 7, **options)
    names = [layer.name for layer in model.layers]
    assert "tap_1" in names
    assert endpoints.endpoint(model, "embedding").shape[0] is None
    assert len(endpoints.endpoint(model, "embedding").shape) == 2
    assert model(np.zeros((2, size, size, 3), "float32")).shape == (2, 7)


@pytest.mark.parametrize(
    "name, size, shapes",
    [
        ("cnn_a", 32, [(15, 16), (6, 32), (2, 64)]),
        ("resnet32x4", 32, [(32, 64), (16, 128), (8, 256)]),
        ("resnet18", 32, [(32, 64), (16, 128), (8, 256), (4, 512)]),
        ("resnet18_imagenet", 32, [(8, 64), (4, 128), (2, 256), (1, 512)]),
        ("resnet34_imagenet", 224, [(56, 64), (28, 128), (14, 256), (7, 512)]),
        (
            "resnet50_imagenet",
            224,
            [(56, 256), (28, 512), (14, 1024), (7, 2048)],
        ),
        ("mobilenet_v1", 224, [(56, 128), (28, 256), (14, 512), (7, 1024)]),
        ("wrn_40_2", 32, [(32, 32), (16, 64), (8, 128)]),
        ("wrn_40_1", 32, [(32, 16), (16, 32), (8, 64)]),
        ("vgg8", 32, [(32, 64), (16, 128), (8, 256), (4, 512), (4, 512)]),
        ("vgg13", 64, [(64, 64), (32, 128), (16, 256), (8, 512), (4, 512)]),
        ("plain_2", 32, [(16, 32), (8, 32)]),
        ("plain_4", 32, [(16, 32), (8, 64)]),
        # The third map is not pooled.
        ("plain_6", 32, [(16, 32), (8, 64), (8, 128)]),
        ("plain_10", 32, [(16, 32), (8, 64), (4, 128), (2, 256)]),
    ],
)
def test_feature_maps(name, size, shapes):
    model = without_values(name, (size, size, 3), 10)
    maps = endpoints.feature_maps(model)
    expected = [(side, side, width) for side, width in shapes]
    assert [tensor.shape[1:] for tensor in maps.values()] == expected


@pytest.mark.parametrize(
    "teacher, student, expected",
    [
        ("resnet34_imagenet", "resnet18_imagenet", [1, 2, 3, 4]),
        ("resnet50_imagenet", "mobilenet_v1", [1, 2, 3, 4]),
        ("wrn_40_2", "wrn_40_1", [1, 2, 3]),
        ("vgg13", "vgg8", [1, 2, 3, 4, 5]),
        ("plain_10", "plain_2", [1, 2]),
        ("plain_10", "plain_8", [1, 2, 3, 4]),
    ],
)
def test_pairs_of_the_papers(teacher, student, expected):
    teacher, student = (
        without_values(name, (64, 64, 3), 10) for name in (teacher, student)
    )
    names = [f"tap_{i}" for i in expected]
    pairs = taps.pair(teacher, student)
    assert pairs == [taps.Tap(name, name) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("name, multiplications", IMAGENET)
def test_large_images(name, multiplications):
    model = models.build(name, (224, 224, 3), 1000)
    logits = model(np.ones((1, 224, 224, 3), "float32")).numpy()
    assert logits.shape == (1, 1000)
    assert np.isfinite(logits).all()
    # `flops` counts additions, biases and normalisations as well.
    billions = evaluation.flops(model) / 2e9
    assert billions == pytest.approx(multiplications, rel=0.01)


@pytest.mark.parametrize("depth, taps_expected", [(2, 2), (5, 5), (7, 7)])
def test_depth_variants_pair_with_each_other(depth, taps_expected):
    teacher, student = (
        models.build(f"cnn_{size}_{depth}", (32, 32, 3), 10) for size in "as"
    )
    assert len(taps.pair(teacher, student)) == taps_expected


def test_depth_two_pools_small_maps_as_far_as_they_go():
    # 8 -> conv 6 -> pool 3 -> conv 1; one pixel cannot be halved.
    model = models.build("cnn_s_2", (8, 8, 3), 10)
    assert endpoints.endpoint(model, "tap_2").shape[1:] == (1, 1, 16)


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
    maps = conv(pad(image))[0, :, :, 0]
    np.testing.assert_array_equal(maps, [[0, 2], [8, 10]])


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
    with pytest.raises(UserError, match="2 or more. Received: num_classes=1"):
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
    "name",
    [
        "cnn_s",
        "resnet8",
        "resnet18",
        "resnet50",
        "resnet18_preactivation",
        "mobilenet_v1",
        "wrn_16_2",
        "vgg8",
    ],
)
def test_batch_statistics_over_all_replicas(name):
    model = without_values(name, (32, 32, 3), 10, synchronized=True)
    synchronized = [
        layer.synchronized
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert synchronized and all(synchronized)
