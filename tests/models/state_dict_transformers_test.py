"""open_clip's towers, against its arithmetic written in NumPy."""

import math

import keras
import numpy as np
import pytest
from keras import layers

from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.models.text_transformer import text_transformer
from indistill_tf.models.vit import vit

WIDTH, HEADS, DEPTH, OUTPUTS = 8, 2, 4, 6


def image_tower():
    """The part that open_clip has: no classifier."""
    model = vit((8, 12, 3), 5, 4, WIDTH, DEPTH, HEADS, OUTPUTS, name="vit")
    return endpoints.named_view(model, ("embedding",))


def text_tower():
    return text_transformer(7, 11, WIDTH, DEPTH, HEADS, OUTPUTS)


def block_shapes(prefix, width=WIDTH, depth=DEPTH):
    shapes = {}
    for index in range(depth):
        name = f"{prefix}transformer.resblocks.{index}"
        for norm in ("ln_1", "ln_2"):
            shapes[f"{name}.{norm}.weight"] = (width,)
            shapes[f"{name}.{norm}.bias"] = (width,)
        shapes[f"{name}.attn.in_proj_weight"] = (3 * width, width)
        shapes[f"{name}.attn.in_proj_bias"] = (3 * width,)
        shapes[f"{name}.attn.out_proj.weight"] = (width, width)
        shapes[f"{name}.attn.out_proj.bias"] = (width,)
        shapes[f"{name}.mlp.c_fc.weight"] = (4 * width, width)
        shapes[f"{name}.mlp.c_fc.bias"] = (4 * width,)
        shapes[f"{name}.mlp.c_proj.weight"] = (width, 4 * width)
        shapes[f"{name}.mlp.c_proj.bias"] = (width,)
    return shapes


IMAGE = {
    "visual.conv1.weight": (WIDTH, 3, 4, 4),
    "visual.class_embedding": (WIDTH,),
    "visual.positional_embedding": (7, WIDTH),
    "visual.ln_pre.weight": (WIDTH,),
    "visual.ln_pre.bias": (WIDTH,),
    **block_shapes("visual."),
    "visual.ln_post.weight": (WIDTH,),
    "visual.ln_post.bias": (WIDTH,),
    "visual.proj": (WIDTH, OUTPUTS),
}
TEXT = {
    "token_embedding.weight": (11, WIDTH),
    "positional_embedding": (7, WIDTH),
    **block_shapes(""),
    "ln_final.weight": (WIDTH,),
    "ln_final.bias": (WIDTH,),
    "text_projection": (WIDTH, OUTPUTS),
}


@pytest.fixture
def weights():
    """The names of a whole CLIP file, both towers and the rest."""
    random = np.random.default_rng(0)
    shapes = {**IMAGE, **TEXT, "logit_scale": ()}
    return {
        name: random.normal(scale=0.5, size=shape)
        for name, shape in shapes.items()
    }


def attend(**options):
    inputs = keras.Input((3, 8))
    layer = layers.MultiHeadAttention(2, 4, name="heads", **options)
    return keras.Model(inputs, layer(inputs, inputs))


def normalized(x, weights, name):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 1e-5)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def dense(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def attention(x, weights, name, causal):
    both = x @ weights[f"{name}.in_proj_weight"].T
    both = both + weights[f"{name}.in_proj_bias"]
    size = WIDTH // HEADS
    outputs = []
    for head in range(HEADS):
        query, key, value = (
            both[:, part * WIDTH + head * size :][:, :size] for part in range(3)
        )
        scores = query @ key.T / math.sqrt(size)
        if causal:
            scores[np.triu_indices(len(x), 1)] = -np.inf
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        outputs.append(scores / scores.sum(axis=-1, keepdims=True) @ value)
    return dense(np.concatenate(outputs, axis=-1), weights, f"{name}.out_proj")


def blocks(x, weights, prefix, causal=False):
    gelu = np.vectorize(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2)
    for index in range(DEPTH):
        name = f"{prefix}transformer.resblocks.{index}"
        y = normalized(x, weights, f"{name}.ln_1")
        x = x + attention(y, weights, f"{name}.attn", causal)
        y = normalized(x, weights, f"{name}.ln_2")
        y = gelu(dense(y, weights, f"{name}.mlp.c_fc"))
        x = x + dense(y, weights, f"{name}.mlp.c_proj")
    return x


def image_embedding(image, weights):
    kernel = weights["visual.conv1.weight"].transpose(2, 3, 1, 0)
    patches = [
        np.tensordot(image[row : row + 4, column : column + 4], kernel, 3)
        for row in range(0, 8, 4)
        for column in range(0, 12, 4)
    ]
    x = np.stack([weights["visual.class_embedding"], *patches])
    x = x + weights["visual.positional_embedding"]
    x = normalized(x, weights, "visual.ln_pre")
    x = blocks(x, weights, "visual.")
    return normalized(x[0], weights, "visual.ln_post") @ weights["visual.proj"]


def text_embedding(tokens, weights):
    x = weights["token_embedding.weight"][tokens]
    x = x + weights["positional_embedding"]
    x = blocks(x, weights, "", causal=True)
    x = normalized(x, weights, "ln_final")[np.argmax(tokens)]
    return x @ weights["text_projection"]


def test_image_tower_of_a_file_of_both(weights):
    model = models.from_state_dict(image_tower(), weights)
    images = np.random.default_rng(1).normal(size=(2, 8, 12, 3))
    expected = [image_embedding(image, weights) for image in images]
    embedding = model(images.astype("float32"))["embedding"]
    np.testing.assert_allclose(embedding, expected, rtol=1e-3, atol=1e-5)


def test_text_tower_of_a_file_of_both(weights):
    model = models.from_state_dict(text_tower(), weights)
    tokens = np.array([[1, 5, 3, 10, 0, 0, 0], [2, 4, 4, 1, 8, 10, 0]])
    expected = [text_embedding(row, weights) for row in tokens]
    np.testing.assert_allclose(model(tokens), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("tower", "names"), [(image_tower, IMAGE), (text_tower, TEXT)]
)
@pytest.mark.parametrize("family", [None, "layers"])
def test_round_trip(tower, names, family):
    model = tower()
    arrays = models.to_state_dict(model, family)
    if family is None:
        assert {name: a.shape for name, a in arrays.items()} == names
    other = models.from_state_dict(tower(), arrays)
    for weight, kept in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_real_mismatches_of_a_tower_are_listed(weights):
    weights["visual.positional_embedding"] = np.zeros((10, WIDTH))
    weights["visual.extra"] = weights.pop("visual.proj")
    model = image_tower()
    before = model.get_weights()
    with pytest.raises(UserError) as error:
        models.from_state_dict(model, weights)
    text = str(error.value)
    assert "missing visual.proj" in text and "unknown visual.extra" in text
    assert "positional_embedding is (10, 8), expected (7, 8)" in text
    assert "token_embedding" not in text
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_a_classifier_is_not_in_clip(weights):
    model = vit((8, 12, 3), 5, 4, WIDTH, DEPTH, HEADS, OUTPUTS, name="vit")
    with pytest.raises(UserError, match="missing visual.fc.bias"):
        models.from_state_dict(model, weights)
    weights["visual.fc.weight"] = np.ones((5, OUTPUTS))
    weights["visual.fc.bias"] = np.arange(5.0)
    models.from_state_dict(model, weights)
    np.testing.assert_array_equal(model.get_layer("fc").bias, np.arange(5))


@pytest.mark.parametrize("tower", [image_tower, text_tower])
def test_names_of_neither_tower_are_listed(weights, tower):
    weights["classifier.bias"] = np.zeros(3)
    with pytest.raises(UserError, match=": unknown classifier.bias.$"):
        models.from_state_dict(tower(), weights)


@pytest.mark.parametrize(
    "options",
    [{"value_dim": 6}, {"output_shape": 5}, {"use_gate": True}],
)
def test_attention_that_pytorch_cannot_hold(options):
    # A gate's variables would be left out, and the file half a model.
    with pytest.raises(UserError, match="'heads' has no PyTorch layout"):
        models.to_state_dict(attend(**options))


def test_attention_without_biases():
    arrays = models.to_state_dict(attend(use_bias=False))
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {
        "heads.in_proj_weight": (24, 8),
        "heads.out_proj.weight": (8, 8),
    }


def test_layer_normalisation_over_a_map():
    inputs = keras.Input((2, 3, 4))
    norm = layers.LayerNormalization(axis=(1, 2, 3), name="norm")
    with pytest.raises(UserError, match="'norm' normalises over 3 axes"):
        models.to_state_dict(keras.Model(inputs, norm(inputs)))


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_projection_of_another_network_is_a_dense_layer(use_bias):
    inputs = keras.Input((3,))
    x = layers.Dense(4, use_bias=use_bias, name="projection")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="fc")(x))
    arrays = models.to_state_dict(model)
    assert arrays["projection.weight"].shape == (4, 3)
    models.from_state_dict(model, arrays)


@pytest.mark.slow
def test_names_and_shapes_at_full_size():
    # Inside the scope no variable gets a value: 1.2 GB stay unallocated. The
    # file's one stray name is the only difference, before values are read.
    with keras.StatelessScope(initialize_variables=False):
        model = models.build("vit_l_14", (224, 224, 3), 10)
    shapes = {
        "visual.conv1.weight": (1024, 3, 14, 14),
        "visual.class_embedding": (1024,),
        "visual.positional_embedding": (257, 1024),
        "visual.proj": (1024, 768),
        "visual.fc.weight": (10, 768),
        "visual.fc.bias": (10,),
        "visual.extra": (1,),
    }
    for norm in ("ln_pre", "ln_post"):
        shapes[f"visual.{norm}.weight"] = (1024,)
        shapes[f"visual.{norm}.bias"] = (1024,)
    shapes |= block_shapes("visual.", width=1024, depth=24)
    arrays = {n: np.broadcast_to(np.float32(0), s) for n, s in shapes.items()}
    with pytest.raises(UserError, match="'clip_image': unknown visual.extra.$"):
        models.from_state_dict(model, arrays)
    # Else the next scope would give them all their values.
    keras.utils.clear_session()
