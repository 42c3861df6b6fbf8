import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import endpoints
from indistill_tf import evaluation
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.models.text_transformer import EndOfText

# open_clip's totals for the pair of towers; one more parameter is the
# temperature of the contrastive loss, which is in neither tower.
PAIRS = [
    ("vit_s_16", "text_s", 62_257_537),
    ("vit_b_16", "text_b", 149_620_737),
    ("vit_l_14", "text_l", 427_616_513),
]
IMAGE_TOWERS = {
    "vit_s_16": 21_813_504,
    "vit_b_16": 86_192_640,
    "vit_l_14": 303_966_208,
}
TINY = dict(
    context_length=6,
    vocabulary_size=20,
    width=12,
    depth=2,
    heads=3,
    embedding_size=8,
)
TEXTS = np.array(
    [[1, 5, 19, 0, 0, 0], [2, 19, 0, 0, 0, 0], [7, 8, 9, 10, 11, 19]], "int32"
)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return models.text_transformer(**TINY)


def tower_parameters(width, heads, embedding_size, depth=12):
    """The count by hand; the number of heads does not enter."""
    # As in the image tower, block by block; one last normalisation.
    block = 12 * width**2 + 13 * width
    return (
        49408 * width
        + 77 * width
        + depth * block
        + 2 * width
        + width * embedding_size
    )


@pytest.mark.parametrize("image_tower, text_tower, total", PAIRS)
def test_pairs_have_open_clip_s_parameters(image_tower, text_tower, total):
    sizes = models.TEXT_BUILDERS[text_tower].keywords
    parameters = IMAGE_TOWERS[image_tower] + tower_parameters(**sizes) + 1
    assert parameters == total
    # What the two towers embed must be comparable.
    image_sizes = models.BUILDERS[image_tower].keywords
    assert sizes["embedding_size"] == image_sizes["embedding_size"]


@pytest.mark.parametrize(
    "name, options",
    [
        ("text_s", {"depth": 1}),
        ("text_b", {"depth": 1}),
        ("text_l", {"depth": 1}),
        pytest.param("text_s", {}, marks=pytest.mark.slow),
        pytest.param("text_b", {}, marks=pytest.mark.slow),
        pytest.param("text_l", {}, marks=pytest.mark.slow),
    ],
)
def test_towers_have_the_formula_s_parameters(name, options):
    sizes = {**models.TEXT_BUILDERS[name].keywords, **options}
    parameters = evaluation.parameters(models.build_text(name, **options))
    assert parameters == tower_parameters(**sizes)


def test_towers_have_twelve_blocks():
    model = models.build_text("text_s", width=6, vocabulary_size=10)
    blocks = [x for x in model.layers if x.name.endswith("_attention")]
    assert len(blocks) == 12


def test_endpoints(model):
    assert endpoints.endpoint(model, "embedding") is model.outputs[0]
    assert model.input_shape == (None, 6)
    assert model.inputs[0].dtype == "int32"
    assert model.output_shape == (None, 8)
    assert model(TEXTS).dtype == "float32"


def test_values_are_open_clip_s():
    # Made as the numbers in vit_test.py.
    model = models.text_transformer(5, 10, 8, 2, 2, 3)
    for index, variable in enumerate(model.variables):
        numbers = np.arange(np.prod(variable.shape)).reshape(variable.shape)
        variable.assign(0.5 * np.sin(1.3 * numbers + index))
    np.testing.assert_allclose(
        model(np.array([[1, 4, 9, 0, 0], [3, 2, 5, 6, 9]])),
        [
            [0.5656132, -0.1355949, -0.6381562],
            [0.2114024, -0.4468535, -0.4504680],
        ],
        atol=2e-6,
    )


def test_what_follows_the_end_of_text_is_not_seen(model):
    changed = TEXTS.copy()
    changed[0, 3:] = (4, 3, 2)
    changed[1, 2:] = (9, 18, 1, 6)
    np.testing.assert_allclose(model(changed), model(TEXTS), atol=1e-6)


@pytest.mark.parametrize("position", range(5))
def test_every_earlier_token_is_seen(model, position):
    changed = TEXTS.copy()
    changed[2, position] += 1
    difference = np.abs(model(changed) - model(TEXTS))
    assert difference[2].max() > 1e-5
    np.testing.assert_allclose(difference[:2], 0, atol=1e-6)


def test_end_of_text_is_the_first_of_the_largest_ids():
    x = np.arange(24, dtype="float32").reshape(2, 3, 4)
    tokens = np.array([[1, 9, 9], [9, 0, 2]])
    layer = EndOfText()
    np.testing.assert_array_equal(
        layer(x, tokens), [[4, 5, 6, 7], [12, 13, 14, 15]]
    )
    assert layer.compute_output_shape((2, 3, 4), (2, 3)) == (2, 4)


def test_files_and_exports_are_exact(model, tmp_path):
    expected = model(TEXTS)
    model.save(tmp_path / "tower.keras")
    loaded = models.load_model(tmp_path / "tower.keras")
    np.testing.assert_array_equal(loaded(TEXTS), expected)
    model.export(tmp_path / "saved_model", verbose=False)
    exported = tf.saved_model.load(tmp_path / "saved_model")
    compiled = tf.function(model)(tf.constant(TEXTS))
    np.testing.assert_array_equal(exported.serve(TEXTS), compiled)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    # A causal mask's minus infinity must be one of the half precision's too.
    keras.config.set_dtype_policy(policy)
    try:
        embedding = models.text_transformer(**TINY)(TEXTS)
    finally:
        keras.config.set_dtype_policy("float32")
    assert embedding.dtype == "float32"
    assert np.isfinite(embedding).all()


def test_errors():
    with pytest.raises(UserError, match="Unknown text tower: 'text'.*text_s"):
        models.build_text("text")
    with pytest.raises(UserError, match="Received: width=12, heads=5"):
        models.text_transformer(**{**TINY, "heads": 5})
