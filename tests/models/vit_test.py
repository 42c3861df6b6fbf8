import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import endpoints
from indistill_tf import evaluation
from indistill_tf import models
from indistill_tf import taps
from indistill_tf.errors import UserError
from indistill_tf.models.vit import ClassToken

# Parameters up to `embedding` at 224 x 224, as open_clip counts them.
TOWERS = {
    "vit_s_16": 21_813_504,
    "vit_b_16": 86_192_640,
    "vit_l_14": 303_966_208,
}
TINY = dict(
    input_shape=(8, 12, 3),
    num_classes=5,
    patch_size=4,
    width=16,
    depth=4,
    heads=4,
    embedding_size=8,
)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return models.vit(**TINY)


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return generator.normal(size=(3, 8, 12, 3)).astype("float32")


def outputs(model, images, *names):
    return endpoints.named_view(model, names)(images)


def tower_parameters(size, patch_size, width, depth, heads, embedding_size):
    """The count by hand; the number of heads does not enter."""
    patches = 3 * patch_size**2 * width
    tokens = (size // patch_size) ** 2 + 1
    # Four attention matrices and 4 + 4 of the MLP; biases 4 + 4 + 1, and two
    # normalisations of 2 vectors each.
    block = 12 * width**2 + 13 * width
    norms = 2 * 2 * width
    return (
        patches
        + width
        + tokens * width
        + depth * block
        + norms
        + width * embedding_size
    )


@pytest.mark.parametrize("name, expected", TOWERS.items())
def test_parameters_by_formula(name, expected):
    assert tower_parameters(224, **models.BUILDERS[name].keywords) == expected


@pytest.mark.parametrize(
    "name, options",
    [
        ("vit_s_16", {}),
        ("vit_b_16", {"depth": 4}),
        ("vit_l_14", {"depth": 4}),
        pytest.param("vit_b_16", {}, marks=pytest.mark.slow),
        pytest.param("vit_l_14", {}, marks=pytest.mark.slow),
    ],
)
def test_networks_have_the_formula_s_parameters(name, options):
    model = models.build(name, (224, 224, 3), 10, **options)
    sizes = {**models.BUILDERS[name].keywords, **options}
    classifier = 10 * sizes["embedding_size"] + 10
    expected = tower_parameters(224, **sizes) + classifier
    assert evaluation.parameters(model) == expected


def test_endpoints(model):
    maps = endpoints.feature_maps(model)
    assert list(maps) == [f"tap_{i}" for i in range(1, 5)]
    assert {tensor.shape[1:] for tensor in maps.values()} == {(2, 3, 16)}
    assert endpoints.endpoint(model, "embedding").shape == (None, 8)
    assert endpoints.endpoint(model, "logits").shape == (None, 5)


def test_taps_lie_after_each_quarter_of_the_blocks():
    model = models.vit(**{**TINY, "depth": 8})
    for index in (1, 2, 3, 4):
        part = endpoints.named_view(model, (f"tap_{index}",))
        blocks = [x for x in part.layers if x.name.endswith("_attention")]
        assert len(blocks) == 2 * index


def test_values_are_open_clip_s():
    # From open_clip 3.2.0 on PyTorch 2.13 (float32): CLIP with these sizes,
    # its state_dict filled with these numbers in its own layout.
    model = models.vit((4, 8, 3), 2, 4, 8, 4, 2, 3)
    for index, variable in enumerate(model.variables):
        numbers = np.arange(np.prod(variable.shape)).reshape(variable.shape)
        variable.assign(0.5 * np.sin(1.3 * numbers + index))
    image = np.cos(np.arange(96)).reshape(1, 4, 8, 3).astype("float32")
    values = outputs(model, image, "tap_4", "embedding")
    np.testing.assert_allclose(
        values["embedding"], [[0.0754030, -0.4639923, -0.3236378]], atol=2e-6
    )
    np.testing.assert_allclose(
        values["tap_4"][0, 0, :, 0], [-0.3767613, -0.7481771], atol=2e-6
    )


def test_maps_are_laid_out_as_the_patches(model, images):
    # With blocks that add nothing each place depends on its own patch alone.
    for layer in model.layers:
        if layer.name.endswith("_mlp_2"):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
        if layer.name.endswith("_attention"):
            kernel = layer.output_dense.kernel
            kernel.assign(np.zeros(kernel.shape))
    changed = images.copy()
    changed[:, 4:8, 8:12] += 1
    for name in ("tap_1", "tap_4"):
        before = outputs(model, images, name)[name]
        after = outputs(model, changed, name)[name]
        differs = np.any(before != after, axis=(0, 3))
        np.testing.assert_array_equal(differs, [[0, 0, 0], [0, 0, 1]])


def test_the_embedding_is_read_from_the_class_token(model, images):
    # Attention whose output is cut off leaves the class token alone with its
    # own position: no image can change it.
    attentions = [x for x in model.layers if x.name.endswith("_attention")]
    before = outputs(model, images, "embedding")["embedding"]
    assert np.ptp(before, axis=0).max() > 1e-3
    for layer in attentions:
        kernel = layer.output_dense.kernel
        kernel.assign(np.zeros(kernel.shape))
    after = outputs(model, images, "embedding")["embedding"]
    np.testing.assert_array_equal(after, np.tile(after[:1], (3, 1)))


def test_class_token_goes_in_front():
    layer = ClassToken()
    x = np.ones((2, 3, 4), "float32")
    layer(x)
    layer.embedding.assign([5, 6, 7, 8])
    y = layer(x)
    assert y.shape == layer.compute_output_shape((2, 3, 4)) == (2, 4, 4)
    np.testing.assert_array_equal(y[1, 0], [5, 6, 7, 8])
    np.testing.assert_array_equal(y[:, 1:], x)
    assert type(ClassToken.from_config(layer.get_config())) is ClassToken


def test_files_and_exports_are_exact(model, images, tmp_path):
    expected = model(images)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), expected)
    model.export(tmp_path / "saved_model", verbose=False)
    exported = tf.saved_model.load(tmp_path / "saved_model")
    compiled = tf.function(model)(tf.constant(images))
    np.testing.assert_array_equal(exported.serve(images), compiled)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(images, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = models.vit(**TINY)
        values = outputs(model, images, "tap_4", "embedding", "logits")
    finally:
        keras.config.set_dtype_policy("float32")
    assert values["tap_4"].dtype == policy.removeprefix("mixed_")
    assert values["embedding"].dtype == values["logits"].dtype == "float32"
    for value in values.values():
        assert np.isfinite(np.asarray(value, "float32")).all()


def test_every_variable_has_a_gradient(model, images):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(images) ** 2)
    # A bias of all keys shifts every score alike: its gradient is zero.
    variables = [
        variable
        for variable in model.trainable_variables
        if not variable.path.endswith("key/bias")
    ]
    gradients = tape.gradient(loss, [v.value for v in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert np.abs(gradient).max() > 0, variable.path


def test_towers_pair_in_order():
    teacher = models.vit(**{**TINY, "patch_size": 2, "width": 32})
    pairs = taps.pair(teacher, models.vit(**TINY), pruned=False)
    assert [tap.teacher_layer for tap in pairs] == [
        tap.student_layer for tap in pairs
    ]
    assert len(pairs) == 4


@pytest.mark.parametrize(
    "change, message",
    [
        ({"input_shape": (8, 10, 3)}, r"`patch_size`.*\(8, 10, 3\)"),
        ({"depth": 6}, "multiple of 4. Received: depth=6"),
        ({"heads": 3}, "multiple of `heads`. Received: width=16, heads=3"),
    ],
)
def test_errors(change, message):
    with pytest.raises(UserError, match=message):
        models.vit(**{**TINY, **change})
