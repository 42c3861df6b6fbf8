import keras
import numpy as np
import pytest

from indistill_tf.cifd.architectures import Architecture
from indistill_tf.cifd.rdm import RateDistortionModules
from indistill_tf.errors import UserError

PLAIN = Architecture(32, 6, 16, reconstruction=False)


def fit(modules, data, epochs=1, batch_size=100):
    return modules.fit(
        *data, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0
    ).history


def outputs(modules, data):
    return keras.tree.map_structure(np.asarray, modules(data[0]))


def test_rate_and_accuracy_rise_with_the_trade_off(make, mixture):
    train, validation = mixture
    modules = make((0.1, 1.0, 10.0), rate=0.03)
    history = fit(modules, train, epochs=10)
    assert history["loss"][-1] < history["loss"][0] / 2
    logs = modules.evaluate(
        *validation, batch_size=500, verbose=0, return_dict=True
    )

    def rises(name):
        names = [f"{name}/module_{index}" for index in (1, 2, 3)]
        return np.diff([float(logs[name]) for name in names])

    assert (rises("rate") > 1).all(), logs
    assert (rises("accuracy") > 0.01).all(), logs
    assert (rises("distortion") < -1).all(), logs


def test_one_pass_equals_separate_fits(make, mixture):
    train, validation = mixture
    together = make((0.5, 2.0, 5.0), optimizer="sgd")
    alone = make((1.0,), optimizer="sgd")
    start = [np.array(weight) for weight in together.weights]
    seed = np.array(alone.noise.seed_generator.state)
    fit(together, train)
    expected = outputs(together, validation)
    for index in range(3):
        # The trade-offs are among the weights.
        alone.set_weights([weight[index : index + 1] for weight in start])
        alone.noise.seed_generator.state.assign(seed)
        fit(alone, train)
        pairs = zip(alone.weights, together.weights, start, strict=True)
        for its, all_of, before in pairs:
            np.testing.assert_allclose(its[0], all_of[index], atol=1e-5)
            moved = np.abs(its[0] - before[index]).max()
            assert moved > 1e-3 or its.name == "trade_offs", its.path
        logits = outputs(alone, validation)["logits"][0]
        # But for codes that lie between two integers.
        close = np.isclose(logits, expected["logits"][index], atol=1e-4)
        assert close.mean() > 0.999


def test_a_gaussian_code_trains_too(make, mixture):
    modules = make((1.0, 2.0), density="gaussian", eager=True, rate=0.03)
    history = fit(modules, mixture[0], epochs=2, batch_size=250)
    assert history["rate/module_1"][-1] > 0
    assert history["loss"][-1] < history["loss"][0]
    # What the encoder gives, means and deviations, is twice the code.
    assert modules.code.units == 12
    assert modules.decoder.kernel.shape == (2, 6, 32)


def test_no_distortion_without_a_reconstruction(make, mixture):
    modules = make((1.0,), architecture=PLAIN, eager=True)
    names = set(fit(modules, mixture[0]))
    assert names == {"loss", "rate/module_1", "accuracy/module_1"}


def test_inference_is_deterministic_and_rounded(make, mixture):
    modules = make((1.0, 2.0))
    first, second = (outputs(modules, mixture[0]) for _ in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert first["reconstruction"].shape == (2, 1000, 16)
    assert first["logits"].shape == (2, 1000, 8)
    assert first["rate"].shape == (2, 1000)
    embedding = mixture[0][0]["embedding"]
    codes = np.round(modules.code(modules.hidden(embedding)))
    decoded = modules.decoder(codes)
    decoded = (
        decoded
        if modules.output_layer is None
        else (modules.output_layer(decoded))
    )
    np.testing.assert_array_equal(decoded, first["reconstruction"])


def test_training_is_noisy_until_frozen(make, mixture):
    modules = make((1.0, 2.0, 3.0))
    inputs = mixture[0][0]
    draws = [modules(inputs, training=True)["logits"] for _ in range(2)]
    assert np.abs(draws[0] - draws[1]).max() > 0.01
    frozen = modules.frozen([2, 0])
    assert frozen.trainable_variables == []
    expected = outputs(modules, mixture[0])
    values_of_frozen = frozen(inputs, training=True)
    for name, values in expected.items():
        np.testing.assert_allclose(
            values_of_frozen[name], values[[2, 0]], atol=1e-5
        )
    np.testing.assert_array_equal(frozen.trade_offs, [3, 1])
    single = modules.frozen(1)(inputs)["logits"]
    np.testing.assert_allclose(single, expected["logits"][1:2], atol=1e-5)
    assert modules.frozen().modules == 3
    with pytest.raises(UserError, match="0 to 2"):
        modules.frozen(3)


def test_saves_and_loads(make, mixture, tmp_path):
    modules = make(
        (1.0, 2.0),
        rate_reduction="mean",
        distortion="smooth_l1",
        temperature=3.0,
        eager=True,
    )
    fit(modules, mixture[0])
    modules.trade_offs.assign([4.0, 5.0])
    expected = outputs(modules, mixture[1])
    for name, original in (("live", modules), ("frozen", modules.frozen())):
        original.save(tmp_path / f"{name}.keras")
        again = keras.saving.load_model(tmp_path / f"{name}.keras")
        assert again.options == modules.options
        assert again.architecture == modules.architecture
        assert again.trainable == (name == "live")
        np.testing.assert_array_equal(again.trade_offs, [4, 5])
        read = outputs(again, mixture[1])
        for key, values in expected.items():
            np.testing.assert_allclose(read[key], values, atol=1e-5)


def test_predict_joins_batches_of_samples(make, mixture):
    modules = make((1.0, 2.0))
    predicted = modules.predict(mixture[0][0], batch_size=300, verbose=0)
    expected = outputs(modules, mixture[0])
    for name, values in expected.items():
        np.testing.assert_allclose(predicted[name], values, atol=1e-5)


def test_loss_by_hand():
    # One sample, one module, D = 2, X = (1, 3), Xh = (1, 0), R = 2, a rate of
    # 6 nats over 3 dimensions: sum 2 * 9 + 6 = 24, means 2 * 4.5 + 2 = 11,
    # smooth L1 2 * 2.5 + 6 = 11.
    shape = Architecture(4, 3, 2, classifier=False)
    predicted = {
        "reconstruction": np.array([[[1, 0]]], "float32"),
        "rate": np.array([[6]], "float32"),
    }
    means = {"rate_reduction": "mean", "distortion_reduction": "mean"}
    for options, expected in (
        ({}, 24),
        (means, 11),
        ({"distortion": "smooth_l1"}, 11),
    ):
        modules = RateDistortionModules([2.0], 2, architecture=shape, **options)
        loss = modules.compute_loss(np.array([[1, 3]]), None, predicted)
        assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("reconstruction", [True, False])
def test_classification_loss_by_hand(reconstruction):
    # Two classes, module (1/2, 1/2), teacher (3/4, 1/4) at T = 2:
    # CE = ln 2 = 0.693147, T**2 KL = 0.523248; R = 3, rate 5, distortion 0.
    # 2 CE + KL / 2 = 1.647918 and R times that is 4.943755.
    modules = RateDistortionModules(
        [3.0],
        2,
        2,
        reconstruction=reconstruction,
        ce_weight=2.0,
        kl_weight=0.5,
    )
    zeros = np.zeros((1, 1, 2), "float32")
    inputs = {
        "embedding": np.zeros((1, 2), "float32"),
        "logits": np.array([[2 * np.log(3), 0]]),
    }
    predicted = {
        "reconstruction": zeros,
        "logits": zeros,
        "rate": np.array([[5]], "float32"),
    }
    loss = modules.compute_loss(inputs, np.array([1]), predicted)
    expected = 5 + (1.647918 if reconstruction else 4.943755)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    weighed = modules.compute_loss(
        inputs, np.array([1]), predicted, sample_weight=np.array([0.5])
    )
    assert float(weighed) == pytest.approx(expected / 2, rel=1e-6)


def test_trains_without_labels_or_classifier(mixture):
    modules = RateDistortionModules([1.0], 16, architecture="clip")
    modules.compile(optimizer="adam", run_eagerly=True)
    history = fit(modules, (mixture[0][0]["embedding"],), 2, 250)
    assert history["loss"][-1] < history["loss"][0]
    assert "logits" not in modules(mixture[0][0]["embedding"])
    assert modules.output_layer.units == 16
    assert modules.code_width == 16


def test_float32_under_a_mixed_policy(mixture):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        modules = RateDistortionModules([1.0], 16, 8)
        outputs_of_half = modules(mixture[0][0]["embedding"].astype("float16"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {value.dtype.name for value in outputs_of_half.values()} == {
        "float32"
    }
    assert {str(weight.dtype) for weight in modules.weights} == {"float32"}


def test_errors(make, mixture):
    with pytest.raises(UserError, match="num_classes"):
        RateDistortionModules([1.0], 16)
    with pytest.raises(UserError, match="above 0 for each"):
        RateDistortionModules([1.0, 0.0], 16, 8)
    with pytest.raises(UserError, match="imagenet_resnet34"):
        RateDistortionModules([1.0], 16, 8, "resnet")
    with pytest.raises(UserError, match="mse, smooth_l1"):
        RateDistortionModules([1.0], 16, 8, distortion="l1")
    with pytest.raises(UserError, match="sum, mean"):
        RateDistortionModules([1.0], 16, 8, rate_reduction="max")
    with pytest.raises(UserError, match="temperature"):
        RateDistortionModules([1.0], 16, 8, temperature=0)
    with pytest.raises(UserError, match="a classifier or both"):
        RateDistortionModules(
            [1.0], 16, architecture="clip", reconstruction=False
        )
    with pytest.raises(UserError, match="logits"):
        fit(
            make([1.0], eager=True), (mixture[0][0]["embedding"], mixture[0][1])
        )
