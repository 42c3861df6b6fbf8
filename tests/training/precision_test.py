import pytest
import tensorflow as tf

from indistill_tf import training
from indistill_tf.errors import UserError
from indistill_tf.training import precision

needs_bfloat16 = pytest.mark.skipif(
    not precision._has_bfloat16(), reason="the processor has no bfloat16"
)


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Returns a function that sets the flags of the processor."""

    def set_flags(flags):
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flags} fxsr\n")
        monkeypatch.setattr(precision, "_PROCESSOR", tmp_path / "cpuinfo")
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])

    return set_flags


@pytest.mark.parametrize("flags", ["avx512_bf16", "amx_bf16 amx_tile"])
def test_processors_that_have_it(processor, flags):
    processor(flags)
    precision.check("bfloat16")


def test_others_would_emulate_it(processor, small_images, tmp_path):
    processor("avx512f avx512_bf16x")
    with pytest.raises(UserError, match="avx512_bf16 in .*Use float32"):
        training.Run(tmp_path, small_images, precision="bfloat16")


def test_no_list_of_flags(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_PROCESSOR", tmp_path / "none")
    with pytest.raises(UserError, match="Use float32"):
        precision.check("bfloat16")


def test_a_gpu(processor, monkeypatch):
    processor("avx512_bf16")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    with pytest.raises(UserError, match="has a GPU"):
        precision.check("bfloat16")


def test_an_unknown_precision():
    with pytest.raises(UserError, match="Expected one of: float32, bfloat16"):
        precision.check("float8")


@needs_bfloat16
def test_convolutions_alone_are_rounded():
    # Bfloat16 has eight bits: 257 is 256 there.
    numbers = tf.fill((1, 4, 4, 8), 257.0)
    kernel = tf.ones((1, 1, 8, 8))

    def convolved():
        return tf.nn.relu(tf.nn.conv2d(numbers, kernel, 1, "VALID"))[0, 0, 0, 0]

    def multiplied():
        return tf.matmul(numbers[0, 0], tf.ones((8, 8)))[0, 0]

    def found(function):
        return float(tf.function(function)())

    with precision.computing_in("bfloat16"):
        assert found(convolved) == 8 * 256
        assert found(multiplied) == 8 * 257
    assert found(convolved) == 8 * 257


@needs_bfloat16
@pytest.mark.parametrize("views", [0, 1])
def test_a_run(tmp_path, build, small_images, unscored, views):
    teacher = build("cnn_a")
    results = {}
    for name in precision.CHOICES:
        run = training.Run(
            tmp_path / name,
            small_images,
            precision=name,
            teacher_cache_views=views,
            teacher_cache=tmp_path / "targets",
        )
        network = training.Network(lambda: build("cnn_s"))
        recipe = training.Recipe(epochs=1, drop_epochs=())
        hop = training.Hop(network, recipe, training.Distillation("okd"))
        results[name] = training.run_hop(run, hop, teacher)
        assert results[name][1]["precision"] == name
    weights = [model.get_weights() for model, _ in results.values()]
    for mine, theirs in zip(*weights, strict=True):
        assert mine.dtype == theirs.dtype == "float32"
    assert any((x != y).any() for x, y in zip(*weights))
    assert {layer.compute_dtype for layer in results["bfloat16"][0].layers} == {
        "float32"
    }
    assert (tmp_path / "targets" / "bfloat16").exists() == bool(views)
