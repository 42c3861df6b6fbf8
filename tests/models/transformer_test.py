import keras
import numpy as np
import pytest

from indistill_tf import models
from indistill_tf.models import transformer


@pytest.fixture
def tokens():
    return keras.Input((3, 4))


def attention(tokens, causal):
    """Two heads over four channels that read and write them unchanged."""
    x = transformer.block(
        tokens, 2, transformer.Deviations(1, 1, 1, 1), "block1", causal
    )
    model = keras.Model(tokens, x)
    layer = model.get_layer("block1_attention")
    for part in ("query", "key", "value", "output"):
        dense = getattr(layer, f"{part}_dense")
        dense.kernel.assign(np.eye(4).reshape(dense.kernel.shape))
    # Without the MLP's share the block is x + attention(ln(x)).
    last = model.get_layer("block1_mlp_2")
    last.kernel.assign(np.zeros((16, 4)))
    return model


@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_a_block(tokens, causal):
    x = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
    attended = attention(tokens, causal)(x).numpy()[0]
    spread = np.sqrt(x[0].var(-1, keepdims=True) + 1e-5)
    y = (x[0] - x[0].mean(-1, keepdims=True)) / spread
    expected = x[0].copy()
    for head in (slice(0, 2), slice(2, 4)):
        scores = y[:, head] @ y[:, head].T / np.sqrt(2)
        if causal:
            scores[np.triu_indices(3, 1)] = -np.inf
        share = np.exp(scores)
        share /= share.sum(-1, keepdims=True)
        expected[:, head] += share @ y[:, head]
    np.testing.assert_allclose(attended, expected, atol=1e-5)


def test_mlp_of_a_block(tokens):
    model = attention(tokens, causal=False)
    output = model.get_layer("block1_attention").output_dense
    output.kernel.assign(np.zeros((2, 2, 4)))
    first, second = (model.get_layer(f"block1_mlp_{i}") for i in (1, 2))
    first.kernel.assign(np.zeros((4, 16)))
    first.bias.assign(np.full(16, 2.0))
    second.kernel.assign(np.full((16, 4), 0.5))
    # Exact GELU: 2 * Phi(2) = 2 * 0.9772499 (the tanh form gives 1.954598);
    # 16 such hidden channels, half of each.
    y = model(np.zeros((1, 3, 4), "float32"))
    np.testing.assert_allclose(y, np.full((1, 3, 4), 15.635998), rtol=1e-6)


def test_positions():
    layer = transformer.Positions(0.5)
    zeros = np.zeros((2, 3, 4), "float32")
    layer(zeros)
    layer.embedding.assign(np.arange(12).reshape(3, 4))
    y = layer(zeros + 1)
    np.testing.assert_array_equal(y[1], 1 + np.arange(12).reshape(3, 4))
    copy = transformer.Positions.from_config(layer.get_config())
    assert copy.deviation == 0.5


def test_attention_kernels_start_with_two_deviations():
    keras.utils.set_random_seed(0)
    initializer = transformer.AttentionNormal(2.0, 0.5)
    for copy in (
        initializer,
        transformer.AttentionNormal.from_config(initializer.get_config()),
    ):
        inward, outward = copy((64, 4, 16)), copy((4, 16, 64))
        # 4096 draws: the deviation's own error is 1.1 %.
        np.testing.assert_allclose(np.std(inward), 2.0, rtol=0.05)
        np.testing.assert_allclose(np.std(outward), 0.5, rtol=0.05)


def deviations(model):
    attention = model.get_layer("block1_attention")
    kernels = {
        "query": attention.query_dense.kernel,
        "output": attention.output_dense.kernel,
        "mlp_1": model.get_layer("block1_mlp_1").kernel,
        "mlp_2": model.get_layer("block1_mlp_2").kernel,
        "positions": model.get_layer("positions").embedding,
        "projection": model.get_layer("projection").kernel,
    }
    return {name: float(np.std(kernel)) for name, kernel in kernels.items()}


def test_fresh_deviations_of_the_image_tower():
    keras.utils.set_random_seed(0)
    model = models.vit((64, 64, 3), 5, 4, 256, 4, 4, 64)
    expected = {
        "query": 0.0442,  # sqrt(1 / 512)
        "output": 0.0361,  # sqrt(1 / 768)
        "mlp_1": 0.0361,
        "mlp_2": 0.0180,  # sqrt(1 / 3072)
        "positions": 0.0625,  # 1 / 16
        "projection": 0.0625,
    }
    assert deviations(model) == pytest.approx(expected, rel=0.05)
    # Uniform between -1 / sqrt(48) and 1 / sqrt(48), 48 values a patch.
    kernel = model.get_layer("conv1").kernel.numpy()
    assert 0.99 / 48**0.5 < np.abs(kernel).max() <= 1 / 48**0.5


def test_fresh_deviations_of_the_text_tower():
    keras.utils.set_random_seed(0)
    model = models.text_transformer(40, 50, 256, 2, 4, 64)
    expected = {
        "query": 0.0625,
        "output": 0.03125,  # 1 / 16 / sqrt(4): two blocks
        "mlp_1": 0.0442,
        "mlp_2": 0.03125,
        "positions": 0.01,
        "projection": 0.0625,
    }
    assert deviations(model) == pytest.approx(expected, rel=0.05)
    embeddings = model.get_layer("token_embedding").embeddings
    assert np.std(embeddings) == pytest.approx(0.02, rel=0.05)
